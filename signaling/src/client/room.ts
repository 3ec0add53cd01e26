import {
  type IceServer,
  type PeerInfo,
  type RoomEvent,
  type SignalingError,
  signalingError,
  type Welcome,
} from '../protocol.ts'
import { type LeaveReason, Peer, type PeerControl } from './peer.ts'
import { Relay } from './relay.ts'
import { type ClientSocket, type EndReason, ServerLink } from './server-link.ts'

/** `interrupted`: the connection to the server is lost and being tried again; sessions with peers are not touched. */
export type RoomState = 'joining' | 'open' | 'interrupted' | 'closed'

/** A peer has come. */
export class PeerEvent extends Event {
  readonly peer: Peer
  constructor(peer: Peer) {
    super('peer')
    this.peer = peer
  }
}

/** Something went wrong that does not end the room by itself, such as a message that could not be delivered. */
export class RoomErrorEvent extends Event {
  readonly error: SignalingError
  constructor(error: SignalingError) {
    super('error')
    this.error = error
  }
}

export interface RoomEventMap {
  peer: PeerEvent
  statechange: Event
  /** `Room.iceServers` are others, as before the credentials of TURN servers expire. */
  iceserverschange: Event
  error: RoomErrorEvent
}

/** How `joinRoom()` steers a room: not for users of `Room`, hence not among its members. */
export interface RoomControl {
  readonly room: Room
  /** Resolves when the server has let us in; rejects with its reason when not. */
  readonly joined: Promise<void>
  end(error: SignalingError): void
}

/**
 * A room that we are in; `joinRoom()` makes it. When the connection to the server breaks, it is tried again and the
 * room goes on with the same peers; when the server forgot us meanwhile, their ids still are what they were.
 */
export class Room extends EventTarget implements AsyncDisposable {
  readonly name: string
  /** Resolves when we are out of the room: `left`, or the error that ended it. */
  readonly closed: Promise<EndReason>
  readonly #link: ServerLink
  readonly #controls = new Map<string, PeerControl>()
  readonly #peers = new Map<string, Peer>()
  /** Peers of before an interruption that the server does not know (yet), and until when they may come back. */
  readonly #missing = new Map<string, ReturnType<typeof setTimeout>>()
  readonly #onpagehide = (event: PageTransitionEvent) => {
    if (!event.persisted) void this.leave() // else the others would hold our place until the grace is over
  }
  #self: PeerInfo | undefined
  #state: RoomState = 'joining'
  #iceServers: readonly IceServer[] = []
  #offersRelay = false
  /** There is a connection to a server that relays frames. */
  #relays = false
  #onpeer: ((peer: Peer) => void) | null = null
  #onjoined: (() => void) | undefined
  #closed!: (reason: EndReason) => void

  /** Rooms come from `joinRoom()`; this is for its use. */
  static control(
    socket: ClientSocket,
    name: string,
    reconnectTimeout: number,
    onwelcome: (welcome: Welcome) => void,
  ): RoomControl {
    const room = new Room(socket, name, reconnectTimeout, onwelcome)
    const joined = new Promise<void>((resolve, reject) => {
      room.#onjoined = resolve
      void room.closed.then(reject)
    })
    return { room, joined, end: (error) => void room.#link.end(error) }
  }

  private constructor(
    socket: ClientSocket,
    name: string,
    reconnectTimeout: number,
    onwelcome: (welcome: Welcome) => void,
  ) {
    super()
    this.name = name
    this.closed = new Promise((resolve) => {
      this.#closed = resolve
    })
    this.#link = new ServerLink(socket, reconnectTimeout, {
      onwelcome: (welcome) => {
        onwelcome(welcome)
        this.#onwelcome(welcome)
      },
      onready: () => this.#setRelays(this.#offersRelay),
      onevent: (event) => this.#onevent(event),
      accepts: (from) => this.#controls.get(from)?.accepts() ?? false,
      onframe: (from, frame) => this.#controls.get(from)?.relay?.receive(frame),
      oniceservers: (iceServers) => this.#setIceServers(iceServers),
      oninterrupted: () => {
        this.#setRelays(false)
        this.#setState('interrupted')
      },
      onerror: (error) => this.dispatchEvent(new RoomErrorEvent(error)),
      onend: (reason) => this.#onend(reason),
    })
    if (typeof window !== 'undefined') window.addEventListener('pagehide', this.#onpagehide)
  }

  /** Our own id in this room: what the others see as `Peer.id`. */
  get id(): string {
    return this.#self!.id
  }

  get state(): RoomState {
    return this.#state
  }

  /**
   * What the signaling server offers for connections with peers of this room, with credentials that are good for now.
   * `connect()` of `@floe/webrtc` uses them by itself.
   */
  get iceServers(): readonly IceServer[] {
    return this.#iceServers
  }

  /** The others in the room, by id. */
  get peers(): ReadonlyMap<string, Peer> {
    return this.#peers
  }

  /** Called for each peer that comes, and when it is set, for each that is there already. */
  get onpeer(): ((peer: Peer) => void) | null {
    return this.#onpeer
  }
  set onpeer(listener: ((peer: Peer) => void) | null) {
    this.#onpeer = listener
    for (const peer of [...this.#peers.values()]) listener?.(peer)
  }

  /**
   * A peer of this room: one that is there already, or else the next that comes. Rejects with the reason of `signal`, or with
   * the SignalingError that has ended the room; ERR_SIGNALING_CLOSED when we have left it.
   */
  peer({ signal }: { readonly signal?: AbortSignal } = {}): Promise<Peer> {
    const [present] = this.#peers.values()
    const listening = new AbortController()
    return new Promise<Peer>((resolve, reject) => {
      signal?.throwIfAborted()
      if (present) return resolve(present)
      this.addEventListener('peer', ({ peer }) => resolve(peer), { signal: listening.signal })
      signal?.addEventListener('abort', () => reject(signal.reason), { signal: listening.signal })
      void this.closed.then((reason) => reject(reason === 'left' ? hasLeft(this.name) : reason))
    }).finally(() => listening.abort())
  }

  /** Leaves; what has been sent before still goes out. Resolves when the connection is closed. Idempotent. */
  leave(): Promise<void> {
    return this.#link.end('left')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.leave()
  }

  override addEventListener<Type extends keyof RoomEventMap>(
    type: Type,
    listener: (event: RoomEventMap[Type]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void {
    super.addEventListener(type, listener as EventListener, options)
  }

  override removeEventListener<Type extends keyof RoomEventMap>(
    type: Type,
    listener: (event: RoomEventMap[Type]) => void,
    options?: boolean | EventListenerOptions,
  ): void {
    super.removeEventListener(type, listener as EventListener, options)
  }

  #onwelcome({ self, peers, resumed, resumeGrace, iceServers, relay = false }: Welcome): void {
    this.#self = self
    this.#offersRelay = relay
    if (iceServers !== undefined) this.#setIceServers(iceServers)
    for (const peer of peers) this.#add(peer)
    // A server that has been restarted learns only now who is in the room: the others get as long as we would have.
    if (!resumed) this.#expect(new Set(peers.map(({ id }) => id)), resumeGrace)
    this.#setState('open')
    this.#onjoined?.()
  }

  #onevent(event: RoomEvent): void {
    if (event.type === 'joined') this.#onarrival(event.peer)
    else if (event.type === 'left') this.#remove(event.id, event.reason)
    else this.#controls.get(event.from)?.receive(event.message)
  }

  #onarrival(info: PeerInfo): void {
    if (this.#controls.has(info.id)) this.#link.sendAgain(info.id)
    this.#add(info)
  }

  #onend(reason: EndReason): void {
    if (typeof window !== 'undefined') window.removeEventListener('pagehide', this.#onpagehide)
    for (const id of [...this.#controls.keys()]) this.#remove(id, 'closed')
    this.#setState('closed')
    this.#closed(reason)
  }

  #add(info: PeerInfo): void {
    clearTimeout(this.#missing.get(info.id))
    this.#missing.delete(info.id)
    if (this.#controls.has(info.id)) return
    const control = Peer.control(info, this.#isPolite(info), {
      transmit: (message) => this.#link.send(info.id, message),
      iceServers: () => this.#iceServers,
      ...(this.#offersRelay && {
        relay: Relay.control((frame, answered) => this.#link.relay(info.id, frame, answered)),
      }),
    })
    control.relay?.setUp(this.#relays)
    this.#controls.set(info.id, control)
    this.#peers.set(info.id, control.peer)
    this.dispatchEvent(new PeerEvent(control.peer))
    this.#onpeer?.(control.peer)
  }

  #remove(id: string, reason: LeaveReason): void {
    clearTimeout(this.#missing.get(id))
    this.#missing.delete(id)
    const control = this.#controls.get(id)
    this.#link.forget(id)
    this.#controls.delete(id)
    this.#peers.delete(id)
    control?.leave(reason)
  }

  #setRelays(isUp: boolean): void {
    this.#relays = isUp
    for (const { relay } of [...this.#controls.values()]) relay?.setUp(isUp)
  }

  #expect(present: ReadonlySet<string>, grace: number): void {
    for (const id of this.#controls.keys()) {
      if (present.has(id) || this.#missing.has(id)) continue
      this.#missing.set(
        id,
        setTimeout(() => this.#remove(id, 'vanished'), grace),
      )
    }
  }

  #isPolite(peer: PeerInfo): boolean {
    const self = this.#self!
    if (self.agent !== peer.agent) return self.agent === 'browser'
    // Two servers may let two peers in within one millisecond.
    return self.joined === peer.joined ? self.id > peer.id : self.joined > peer.joined
  }

  #setIceServers(iceServers: readonly IceServer[]): void {
    if (JSON.stringify(iceServers) === JSON.stringify(this.#iceServers)) return
    this.#iceServers = iceServers
    this.dispatchEvent(new Event('iceserverschange'))
    for (const control of [...this.#controls.values()]) control.renew()
  }

  #setState(state: RoomState): void {
    if (this.#state === state) return
    this.#state = state
    this.dispatchEvent(new Event('statechange'))
  }
}

function hasLeft(room: string): SignalingError {
  return signalingError('ERR_SIGNALING_CLOSED', `We have left the room ${room}`)
}
