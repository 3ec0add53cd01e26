/** A TestPeer that takes notes: the paths it went over and when, and a heartbeat that shows every gap in the data. */
import { type PathEnds, selectedPairChanges, selectedPath, selectedRelay } from '../../peer/selected-path.ts'
import type { Signal } from '../../peer/test-peer.ts'
import { TestPeer, type TestPeerOptions } from '../../peer/test-peer.ts'
import { MessageStream, type StreamReport } from './message-stream.ts'

/** Times are milliseconds since the epoch: all peers of a lab share one clock. */
export interface Notes {
  /** The first byte of application data from the other end. */
  readonly firstByte: number | undefined
  /** Every path that was selected, from when on. */
  readonly paths: readonly ({ readonly at: number } & PathEnds)[]
  readonly states: readonly string[]
}

/** How often statistics are asked for the selected pair, milliseconds. */
const LOOK_EVERY = 20

export class LabPeer extends TestPeer {
  readonly #notes = {
    firstByte: undefined as number | undefined,
    paths: [] as { at: number; local: string; remote: string }[],
  }
  readonly #beat: RTCDataChannel
  readonly #arrivals: number[] = []
  readonly #stream: MessageStream
  #beating: ReturnType<typeof setInterval> | undefined
  readonly #looking: ReturnType<typeof setInterval>

  constructor(Connection: typeof RTCPeerConnection, options: TestPeerOptions, emit: (signal: Signal) => void) {
    super(Connection, options, emit)
    // Unreliable, so that what arrives tells what the path does now and not what was sent again.
    const unreliable = { ordered: false, maxRetransmits: 0 }
    this.#beat = this.connection.createDataChannel('beat', { negotiated: true, id: 1_000, ...unreliable })
    this.#beat.addEventListener('open', () => this.#beat.send('first'))
    this.#beat.addEventListener('message', () => {
      this.#notes.firstByte ??= now()
      this.#arrivals.push(now())
    })
    this.#stream = new MessageStream(this.connection, 1_001)
    this.#looking = setInterval(() => this.#look(), LOOK_EVERY)
  }

  async notes(): Promise<Notes> {
    await this.#look()
    return { ...this.#notes, states: (await this.status()).history }
  }

  /** Sends a little every `interval` milliseconds from now on. */
  async beat(interval: number): Promise<void> {
    clearInterval(this.#beating)
    this.#beating = setInterval(() => {
      if (this.#beat.readyState === 'open' && this.#beat.bufferedAmount === 0) this.#beat.send('beat')
    }, interval)
  }

  /** When something of the other end's arrived, since `from`. */
  async arrivals(from: number): Promise<number[]> {
    return this.#arrivals.filter((at) => at >= from)
  }

  /** Sends numbered messages; from then on paths are looked at only when somebody asks, which would cost time that counts. */
  async startStream(interval: number): Promise<void> {
    clearInterval(this.#looking)
    this.#stream.start(interval)
  }

  async stopStream(): Promise<void> {
    this.#stream.stop()
  }

  async stream(since: number, least: number): Promise<StreamReport> {
    return this.#stream.report(since, least)
  }

  /** How often this end has moved from one pair to another, the first included; `null` in Firefox, which does not count. */
  async pairChanges(): Promise<number | null> {
    return selectedPairChanges(await this.connection.getStats())
  }

  /** How this end's relay is reached, while it goes over one of its own. */
  async relay(): Promise<string | undefined> {
    return selectedRelay(await this.connection.getStats())
  }

  override async close(): Promise<void> {
    clearInterval(this.#looking)
    clearInterval(this.#beating)
    this.#stream.stop()
    await super.close()
  }

  async #look(): Promise<void> {
    const path = selectedPath(await this.connection.getStats())
    const last = this.#notes.paths.at(-1)
    if (path && (path.local !== last?.local || path.remote !== last?.remote))
      this.#notes.paths.push({ at: now(), ...path })
  }
}

function now(): number {
  return performance.timeOrigin + performance.now()
}
