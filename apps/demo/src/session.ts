import { Exchange } from '@floe/exchange'
import { joinRoom, type Peer, type Room } from '@floe/signaling'
import { ConnectError, type Connection, connect } from '@floe/webrtc'
import { Journal } from './journal.ts'
import { BUSY, codeOf, DemoError, type Explanation, explain } from './messages.ts'
import { RecordedSignaling } from './recorded-signaling.ts'

/** `waiting`: in the room, alone. `interrupted`: the path is lost and another one is being looked for. */
export type Phase = 'joining' | 'waiting' | 'connecting' | 'open' | 'interrupted' | 'ended' | 'failed'

/** What has to happen, usually in this order. Words can be said from `channel` on: through the server until there is a path. */
export const STEPS = ['room', 'peer', 'introduced', 'channel', 'path'] as const
export type Step = (typeof STEPS)[number]

export interface SessionOptions {
  /** Where the signaling server lives. */
  readonly server: string
  readonly room: string
  readonly secret?: string
  /** A STUN server's URL, for peers in other networks. */
  readonly stun?: string
  /** Gather no candidate but a relay's: the peer learns no address of ours. */
  readonly relayOnly?: boolean
  /** `node`: the server's own peer, which comes by itself and soon. `anyone`: whoever opens the link, whenever. */
  readonly expects: 'node' | 'anyone'
}

/** How long the server's Node peer may take to come into its room, in ms: it lives in the same process. */
const NODE_PEER_TIMEOUT = 8_000
/** How long a second visitor waits for the first one to be found gone, in ms, before it is told that we are busy. */
const BUSY_AFTER = 5_000

/**
 * One visit to a room, from joining to leaving: finds a peer, connects, and in a room that anyone may enter waits for
 * the next one afterwards. Fires `change` whenever something that can be seen has changed, and `open` with each connection.
 */
export class Session extends EventTarget {
  readonly options: SessionOptions
  readonly journal = new Journal()
  phase: Phase = 'joining'
  /** When each step was reached, in milliseconds since the session began. */
  readonly steps = new Map<Step, number>()
  /** URLs of the STUN and TURN servers that the room offers; their credentials are nobody's business. */
  offered: readonly string[] = []
  peer: Peer | undefined
  peerConnection: RTCPeerConnection | undefined
  connection: Connection | undefined
  exchange: Exchange | undefined
  error: unknown
  /** Of the failure, or of how the last connection ended. */
  explanation: Explanation | undefined
  readonly #abort = new AbortController()
  readonly #arrived: Peer[] = []
  #stopped = false
  #onarrival: () => void = () => {}

  constructor(options: SessionOptions) {
    super()
    this.options = options
  }

  /** Resolves when the visit is over, however it ended. Does not reject. */
  async run(): Promise<void> {
    let room: Room | undefined
    try {
      if (typeof RTCPeerConnection === 'undefined') throw new DemoError('NO_WEBRTC')
      room = await this.#join()
      if (this.options.relayOnly && !this.offered.some(isTurn)) throw new DemoError('NO_RELAY')
      do {
        const peer = await this.#nextPeer(room)
        await this.#talk(peer)
      } while (this.options.expects === 'anyone')
      this.#enter('ended')
    } catch (error) {
      this.#fail(error)
    } finally {
      await room?.leave()
    }
  }

  /** Hangs up and leaves the room. */
  async stop(): Promise<void> {
    this.#stopped = true
    // First the connection, while there still is a room through which to say goodbye.
    await this.connection?.close('the other side disconnected')
    this.#abort.abort()
  }

  async #join(): Promise<Room> {
    const { server, room: name, secret } = this.options
    const signal = this.#abort.signal
    const room = await joinRoom(server, { room: name, agent: 'browser', signal, ...(secret ? { secret } : {}) })
    this.#reach('room')
    this.#noteServers(room)
    room.addEventListener('iceserverschange', () => this.#noteServers(room))
    room.onpeer = (peer) => {
      this.journal.note('peer arrived', { agent: peer.agent, polite: peer.polite })
      this.#arrived.push(peer)
      this.#onarrival()
    }
    void room.closed.then((reason) => this.journal.note('signaling ended', String(reason)))
    return room
  }

  #noteServers(room: Room): void {
    this.offered = room.iceServers.flatMap(({ urls }) => urls)
    this.journal.note('ICE servers', this.offered)
  }

  async #nextPeer(room: Room): Promise<Peer> {
    for (const step of STEPS.slice(1)) this.steps.delete(step)
    this.#enter('waiting')
    const { expects } = this.options
    const patience = expects === 'node' ? AbortSignal.timeout(NODE_PEER_TIMEOUT) : undefined
    while (!this.#stopped) {
      const peer = this.#arrived.shift()
      if (peer && !peer.left && (expects === 'anyone' || peer.agent === 'node')) return peer
      if (peer) continue
      await new Promise<void>((resolve, reject) => {
        this.#onarrival = resolve
        patience?.addEventListener('abort', () => reject(new DemoError('NO_NODE_PEER')))
        void room.closed.then(reject)
      })
    }
    throw this.#abort.signal.reason
  }

  /** Connects to one peer and stays until the connection ends. */
  async #talk(peer: Peer): Promise<void> {
    this.#begin(peer)
    const gone = new AbortController()
    peer.onleave = () => gone.abort()
    try {
      const connection = await this.#connect(peer, AbortSignal.any([this.#abort.signal, gone.signal]))
      this.#opened(connection)
      // The connection does not need the room. Only when both are gone is there nothing to wait for.
      peer.onleave = () => this.#giveUpOnGone(connection)
      this.#onarrival = () => this.#turnAway()
      this.#turnAway()
      const reason = await connection.closed
      this.journal.note('connection closed', reason)
      this.explanation = ended(reason)
    } catch (thrown) {
      const error = gone.signal.aborted ? new ConnectError('ERR_CONNECT_PEER_LEFT', 'The peer left the room') : thrown
      const left = codeOf(error) === 'ERR_CONNECT_PEER_LEFT'
      if (!left || this.#stopped || this.options.expects === 'node') throw error
      this.journal.note('peer left', String(error))
      this.explanation = explain(error)
    }
  }

  #begin(peer: Peer): void {
    this.peer = peer
    this.connection = undefined
    this.exchange = undefined
    this.explanation = undefined
    this.#reach('peer')
    this.#enter('connecting')
  }

  #connect(peer: Peer, signal: AbortSignal): Promise<Connection> {
    const { stun, relayOnly } = this.options
    const servers = stun ? [{ urls: stun }] : []
    const signaling = new RecordedSignaling(peer, servers, this.journal, () => this.#reach('introduced'))
    const configuration: RTCConfiguration = { iceTransportPolicy: relayOnly ? 'relay' : 'all' }
    return connect(signaling, { signal, configuration, onpeerconnection: (pc) => this.#watch(pc) })
  }

  #opened(connection: Connection): void {
    this.connection = connection
    this.exchange = new Exchange(connection)
    this.#reach('channel')
    connection.addEventListener('pathchange', () => {
      this.journal.note('messages go', connection.path ?? 'nowhere')
      this.#changed()
    })
    connection.addEventListener('statechange', () => {
      if (connection.state !== 'closed') this.#enter(connection.state)
      this.#giveUpOnGone(connection)
    })
    this.#enter('open')
    this.dispatchEvent(new Event('open'))
  }

  #giveUpOnGone(connection: Connection): void {
    const left = this.peer?.left
    if (left && left !== 'closed' && connection.state === 'interrupted') void connection.close('the other side is gone')
  }

  /** Two at a time: who comes third is told so, unless it is our peer, back before we noticed that it was gone. */
  #turnAway(): void {
    const connection = this.connection
    if (this.#arrived.length === 0) return
    setTimeout(() => {
      if (this.connection !== connection || connection?.state === 'closed') return
      for (const peer of this.#arrived.splice(0)) if (!peer.left) peer.send({ bye: BUSY })
    }, BUSY_AFTER)
  }

  /** Writes down every state that the browser reports. */
  #watch(pc: RTCPeerConnection): void {
    this.peerConnection = pc
    const note = (state: 'connectionState' | 'iceConnectionState' | 'iceGatheringState' | 'signalingState') => () => {
      this.journal.note(state, pc[state])
      if (state === 'iceConnectionState' && /connected|completed/.test(pc[state])) this.#reach('path')
    }
    pc.addEventListener('connectionstatechange', note('connectionState'))
    pc.addEventListener('iceconnectionstatechange', note('iceConnectionState'))
    pc.addEventListener('icegatheringstatechange', note('iceGatheringState'))
    pc.addEventListener('signalingstatechange', note('signalingState'))
    pc.addEventListener('icecandidateerror', ({ url, errorCode, errorText }) => {
      this.journal.note('icecandidateerror', { url, errorCode, errorText })
    })
    this.#changed()
  }

  #reach(step: Step): void {
    if (this.steps.has(step)) return
    this.steps.set(step, this.journal.note(`reached: ${step}`))
    this.#changed()
  }

  #enter(phase: Phase): void {
    if (phase === this.phase) return
    this.phase = phase
    this.journal.note(`phase: ${phase}`)
    this.#changed()
  }

  #fail(error: unknown): void {
    if (this.#stopped) return this.#enter('ended')
    this.error = error
    this.explanation = explain(error)
    const cause = error instanceof Error && error.cause ? String(error.cause) : undefined
    this.journal.note('failed', { code: codeOf(error), message: String(error), cause })
    this.#enter('failed')
  }

  #changed(): void {
    this.dispatchEvent(new Event('change'))
  }
}

function isTurn(url: string): boolean {
  return /^turns?:/i.test(url)
}

function ended(reason: string): Explanation {
  return {
    title: 'The connection has ended',
    why: `The other side left, or the path to it was lost for good (${reason}).`,
    advice: 'Connect again when it is back.',
  }
}
