/**
 * One end of a test connection. It speaks the W3C API and nothing else, so that the very same code runs over the native
 * classes in a browser page, over @floe/webrtc in Node, and over other implementations of RTCPeerConnection. The one
 * exception is for who has it: candidates that go are told.
 */
import { BulkSource, CHUNK_BYTES, Checksum } from './bulk.ts'
import { type PathEnds, selectedPath } from './selected-path.ts'

export type Signal =
  | { description: RTCSessionDescriptionInit }
  | { candidate: RTCIceCandidateInit }
  | { removed: RTCIceCandidateInit[] }

/** floe's in Node. */
interface RemovesCandidates {
  removeIceCandidates?(candidates: readonly RTCIceCandidateInit[]): Promise<void>
}

export interface TestPeerOptions {
  readonly configuration?: RTCConfiguration
  /** Whether candidates travel one by one; otherwise the description waits for all of them. Default true. */
  readonly trickle?: boolean
}

export interface Status {
  readonly connection: RTCPeerConnectionState
  /** Every state that iceConnectionState and connectionState went through, in order. */
  readonly history: readonly string[]
  readonly channel: RTCDataChannelState | 'none'
  readonly usernameFragments: { readonly local: string; readonly remote: string }
  readonly selectedPair: PathEnds | undefined
}

/** Above this, bulk sending waits for the channel to drain. */
const HIGH_WATER_BYTES = 4 * 1024 * 1024
const LOW_WATER_BYTES = 1024 * 1024

export class TestPeer {
  readonly connection: RTCPeerConnection
  readonly #emit: (signal: Signal) => void
  readonly #trickle: boolean
  readonly #history: string[] = []
  readonly #pongs = new Map<string, () => void>()
  readonly #opened: Promise<void>
  #open = () => {}
  #channel: RTCDataChannel | undefined
  #bulk: { checksum: Checksum; expected: number; received: Promise<string>; done(checksum: string): void } | undefined

  constructor(Connection: typeof RTCPeerConnection, options: TestPeerOptions, emit: (signal: Signal) => void) {
    this.#emit = emit
    this.#trickle = options.trickle ?? true
    this.#opened = new Promise((resolve) => {
      this.#open = resolve
    })
    this.connection = new Connection(options.configuration)
    this.connection.addEventListener('icecandidate', ({ candidate }) => {
      if (candidate && this.#trickle) emit({ candidate: candidate.toJSON() })
    })
    this.connection.addEventListener('icecandidatesremoved', (event) => {
      const { candidates } = event as Event & { candidates: readonly RTCIceCandidate[] }
      emit({ removed: candidates.map((candidate) => candidate.toJSON()) })
    })
    this.connection.addEventListener('datachannel', ({ channel }) => this.#adopt(channel))
    for (const name of ['iceConnectionState', 'connectionState'] as const) {
      this.connection.addEventListener(`${name.toLowerCase()}change`, () =>
        this.#history.push(`${name === 'connectionState' ? 'connection' : 'ice'} ${this.connection[name]}`),
      )
    }
  }

  /** Offers; the first time with a new data channel, later as an ICE restart. */
  async offer(): Promise<void> {
    const restart = this.#channel !== undefined
    if (!restart) this.#adopt(this.connection.createDataChannel('test'))
    await this.#describe(await this.connection.createOffer({ iceRestart: restart }))
  }

  async signal(signal: Signal): Promise<void> {
    if ('candidate' in signal) return this.connection.addIceCandidate(signal.candidate)
    if ('removed' in signal) {
      const connection: RTCPeerConnection & RemovesCandidates = this.connection
      return connection.removeIceCandidates?.(signal.removed)
    }
    await this.connection.setRemoteDescription(signal.description)
    if (signal.description.type === 'offer') await this.#describe(await this.connection.createAnswer())
  }

  /** Resolves when the channel is open; rejects with what was seen until then after `timeout` ms. */
  async opened(timeout = 15_000): Promise<void> {
    await this.#within(timeout, 'the channel to open', this.#opened)
  }

  /** Resolves when the other end answered to this text. */
  async ping(text: string, timeout = 10_000): Promise<void> {
    const pong = new Promise<void>((resolve) => this.#pongs.set(text, resolve))
    this.#channel!.send(`ping ${text}`)
    await this.#within(timeout, `the answer to ${text}`, pong)
  }

  /** Sends so many bytes made from the seed, no faster than they leave. Resolves with their checksum. */
  async sendBulk(bytes: number, seed: number): Promise<string> {
    const channel = this.#channel!
    const source = new BulkSource(seed)
    const checksum = new Checksum()
    channel.bufferedAmountLowThreshold = LOW_WATER_BYTES
    while (checksum.bytes < bytes) {
      if (channel.bufferedAmount > HIGH_WATER_BYTES) {
        await new Promise((resolve) => channel.addEventListener('bufferedamountlow', resolve, { once: true }))
      }
      const chunk = source.next(Math.min(CHUNK_BYTES, bytes - checksum.bytes))
      checksum.add(chunk)
      channel.send(chunk)
    }
    return checksum.value
  }

  /** Gets ready for so many bytes. Await it before the other end sends: what comes earlier belongs to nobody. */
  async expectBulk(bytes: number): Promise<void> {
    let done = (_: string) => {}
    const received = new Promise<string>((resolve) => {
      done = resolve
    })
    this.#bulk = { checksum: new Checksum(), expected: bytes, received, done }
  }

  /** Resolves with the checksum of what came in, when all the expected bytes have. */
  async receivedBulk(timeout = 50_000): Promise<string> {
    const { checksum, expected, received } = this.#bulk!
    try {
      return await this.#within(timeout, `${expected} bytes`, received)
    } catch (error) {
      throw new Error(`${(error as Error).message}; ${checksum.bytes} came`)
    }
  }

  /** Resolves when the connection is in this state, or was since it was made. */
  async reached(state: RTCPeerConnectionState, timeout: number): Promise<void> {
    const reached = new Promise<void>((resolve) => {
      const look = () => this.#history.includes(`connection ${state}`) && resolve()
      this.connection.addEventListener('connectionstatechange', look)
      look()
    })
    await this.#within(timeout, `connection state ${state}`, reached)
  }

  /** Resolves when this end noticed that the other is gone: the channel closed, or the connection is no longer up. */
  async lost(timeout: number): Promise<void> {
    const lost = new Promise<void>((resolve) => {
      const look = () => {
        const down = ['disconnected', 'failed', 'closed'].includes(this.connection.connectionState)
        if (down || this.#channel?.readyState === 'closed') resolve()
      }
      this.connection.addEventListener('connectionstatechange', look)
      this.#channel?.addEventListener('close', look)
      look()
    })
    await this.#within(timeout, 'the loss of the other end', lost)
  }

  async status(): Promise<Status> {
    return {
      connection: this.connection.connectionState,
      history: this.#history,
      channel: this.#channel?.readyState ?? 'none',
      usernameFragments: {
        local: usernameFragment(this.connection.currentLocalDescription),
        remote: usernameFragment(this.connection.currentRemoteDescription),
      },
      selectedPair: selectedPath(await this.connection.getStats()),
    }
  }

  async close(): Promise<void> {
    await this.connection.close()
  }

  async #describe(description: RTCSessionDescriptionInit): Promise<void> {
    await this.connection.setLocalDescription(description)
    if (!this.#trickle) await this.#gathered()
    const { type, sdp } = this.connection.localDescription!
    this.#emit({ description: { type, sdp } })
  }

  async #gathered(): Promise<void> {
    const complete = new Promise<void>((resolve) => {
      const look = () => this.connection.iceGatheringState === 'complete' && resolve()
      this.connection.addEventListener('icegatheringstatechange', look)
      look()
    })
    await this.#within(15_000, 'gathering to end', complete)
  }

  #adopt(channel: RTCDataChannel): void {
    this.#channel = channel
    channel.binaryType = 'arraybuffer'
    channel.addEventListener('message', ({ data }) => this.#receive(data))
    channel.addEventListener('open', () => this.#open())
    if (channel.readyState === 'open') this.#open()
  }

  #receive(data: unknown): void {
    if (typeof data === 'string') {
      const [verb, ...text] = data.split(' ')
      if (verb === 'ping') this.#channel!.send(`pong ${text.join(' ')}`)
      else this.#pongs.get(text.join(' '))?.()
    } else if (data instanceof ArrayBuffer && this.#bulk) {
      this.#bulk.checksum.add(data)
      if (this.#bulk.checksum.bytes >= this.#bulk.expected) this.#bulk.done(this.#bulk.checksum.value)
    } else {
      throw new TypeError(`a message that nobody asked for: ${Object.prototype.toString.call(data)}`)
    }
  }

  /** Names what was waited for, and what the connection went through instead. */
  async #within<T>(timeout: number, what: string, promise: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const expired = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const states = `${this.connection.signalingState}, ${this.#history.join(', ')}`
        reject(new Error(`waited ${timeout} ms for ${what}; channel ${this.#channel?.readyState}; ${states}`))
      }, timeout)
    })
    return Promise.race([promise, expired]).finally(() => clearTimeout(timer))
  }
}

function usernameFragment(description: RTCSessionDescription | null): string {
  return /a=ice-ufrag:(\S+)/.exec(description?.sdp ?? '')?.[1] ?? ''
}
