import type { Socket } from 'socket.io-client'
import * as v from 'valibot'
import { Outbox } from '../outbox.ts'
import {
  type ClientEvents,
  type ErrorBody,
  ErrorBodySchema,
  type IceServer,
  IceServersSchema,
  NumberedEventSchema,
  type RoomEvent,
  type ServerEvents,
  SignalingError,
  type SignalingMessage,
  signalingError,
  type Welcome,
  WelcomeSchema,
} from '../protocol.ts'
import { RelaySchema } from '../relay.ts'

export type ClientSocket = Socket<ServerEvents, ClientEvents>

/** Why we are out of a room: we left, or the error that ended it. */
export type EndReason = 'left' | SignalingError

export interface ServerLinkHandlers {
  /** First thing on every connection, hence also after an interruption. */
  onwelcome(welcome: Welcome): void
  /** After the welcome and all that had waited for it: what is sent now goes out now. */
  onready(): void
  onevent(event: RoomEvent): void
  /** In place of those of the last welcome. */
  oniceservers(iceServers: readonly IceServer[]): void
  /** A frame that the server relays from this peer. */
  onframe(from: string, frame: Uint8Array): void
  oninterrupted(): void
  /** Something that the link survives. */
  onerror(error: SignalingError): void
  /** Once, and the last call. */
  onend(reason: EndReason): void
}

/** What waits for the server's acknowledgement, through an interruption too. Same bounds as the server's own. */
const OUTBOX_LIMITS = { entries: 1_024, size: 1_048_576 } as const

/** Time for the connection to close in order when we leave, in ms; then it is cut. */
const CLOSE_TIMEOUT = 1_000

/** Our membership as the server sees it, over one Socket.IO connection after the other; see `RoomEvent` for delivery. */
export class ServerLink {
  readonly #socket: ClientSocket
  readonly #reconnectTimeout: number
  readonly #handlers: ServerLinkHandlers
  readonly #outbox = new Outbox<{ to: string; message: SignalingMessage }>(OUTBOX_LIMITS)
  /** Of the last event, so that a repetition is known. */
  #received = 0
  #welcomed = false
  #ended = false
  #closing: Promise<void> = Promise.resolve()
  #deadline: ReturnType<typeof setTimeout> | undefined

  /** `reconnectTimeout`: how long an interruption may last, in ms. */
  constructor(socket: ClientSocket, reconnectTimeout: number, handlers: ServerLinkHandlers) {
    this.#socket = socket
    this.#reconnectTimeout = reconnectTimeout
    this.#handlers = handlers
    socket.on('welcome', (welcome: unknown) => this.#onwelcome(welcome))
    socket.on('event', (...raw: unknown[]) => this.#onevent(raw))
    socket.on('iceServers', (iceServers: unknown) => this.#oniceservers(iceServers))
    socket.on('relay', (...raw: unknown[]) => this.#onrelay(raw))
    socket.on('goodbye', (error: unknown) => this.#ongoodbye(error))
    socket.on('connect_error', (error) => this.#onconnecterror(error))
    socket.on('disconnect', (reason) => this.#ondisconnect(reason))
  }

  /** Sends now, or as soon as there is a connection again. */
  send(to: string, message: SignalingMessage): void {
    if (this.#ended) return
    const entry = this.#outbox.add({ to, message })
    if (entry !== undefined) {
      this.#transmit(entry.number, to, message)
      return
    }
    const problem = 'Too many messages wait for the connection to the server; this one is lost.'
    this.#handlers.onerror(signalingError('ERR_SIGNALING_OVERFLOW', problem))
  }

  /** Sends a frame to be relayed, unless there is no connection; `answered`: the server is done with it. */
  relay(to: string, frame: Uint8Array, answered: () => void): void {
    if (this.#welcomed && !this.#ended) this.#socket.emit('relay', to, frame, answered)
  }

  /** Ends the link; resolves when the server has heard all that was sent, and the connection is closed. */
  end(reason: EndReason): Promise<void> {
    if (this.#ended) return this.#closing
    this.#ended = true
    clearTimeout(this.#deadline)
    this.#closing = this.#close()
    this.#handlers.onend(reason)
    return this.#closing
  }

  async #close(): Promise<void> {
    // Not left to Socket.IO's own goodbye: it overtakes, in the server, the messages sent just before.
    if (this.#welcomed)
      await this.#socket
        .timeout(CLOSE_TIMEOUT)
        .emitWithAck('leave')
        .catch(() => {})
    const closed = engineClosed(this.#socket)
    this.#socket.disconnect()
    await closed
  }

  #transmit(number: number, to: string, message: SignalingMessage): void {
    // Not into Socket.IO's own buffer: what it would send on reconnection, the outbox sends too.
    if (!this.#welcomed) return
    this.#socket.emit('signal', number, to, message, (answer: unknown) => {
      this.#outbox.acknowledge(number)
      const refusal = v.safeParse(ErrorBodySchema, answer)
      if (refusal.success) this.#handlers.onerror(new SignalingError(refusal.output))
    })
  }

  #onwelcome(raw: unknown): void {
    const welcome = v.safeParse(WelcomeSchema, raw)
    if (this.#ended) return
    if (!welcome.success) {
      void this.end(foreignServer())
      return
    }
    clearTimeout(this.#deadline)
    this.#deadline = undefined
    if (!welcome.output.resumed) this.#received = 0
    this.#handlers.onwelcome(welcome.output)
    this.#welcomed = true
    for (const { number, item } of this.#outbox.pending()) this.#transmit(number, item.to, item.message)
    this.#handlers.onready()
  }

  #onevent(raw: unknown[]): void {
    const acknowledge = raw.pop()
    const parsed = v.safeParse(NumberedEventSchema, raw)
    if (!parsed.success || this.#ended) return
    const [number, event] = parsed.output
    if (typeof acknowledge === 'function') acknowledge()
    if (number <= this.#received) return
    this.#received = number
    this.#handlers.onevent(event)
  }

  #onrelay(raw: unknown[]): void {
    const acknowledge = raw.pop()
    // A browser's Socket.IO gives an ArrayBuffer, Node's a Buffer.
    const [from, data] = raw
    const parsed = v.safeParse(RelaySchema, [from, data instanceof ArrayBuffer ? new Uint8Array(data) : data])
    if (typeof acknowledge === 'function') acknowledge()
    if (parsed.success && !this.#ended) this.#handlers.onframe(...parsed.output)
  }

  #oniceservers(raw: unknown): void {
    const iceServers = v.safeParse(IceServersSchema, raw)
    if (iceServers.success && !this.#ended) this.#handlers.oniceservers(iceServers.output)
  }

  #ongoodbye(raw: unknown): void {
    const body = v.safeParse(ErrorBodySchema, raw)
    const error = body.success ? new SignalingError(body.output as ErrorBody) : foreignServer()
    if (error.code === 'ERR_SIGNALING_STOPPED' && this.#welcomed) this.#handlers.onerror(error)
    else void this.end(error)
  }

  /** Before the first welcome there is nothing to keep: fail at once. Later, Socket.IO tries on until the deadline. */
  #onconnecterror(cause: Error): void {
    if (this.#deadline !== undefined || this.#ended) return
    const { uri } = this.#socket.io as unknown as { uri: string }
    void this.end(signalingError('ERR_SIGNALING_UNREACHABLE', `No signaling server answers at ${uri}.`, cause))
  }

  #ondisconnect(reason: string): void {
    this.#welcomed = false
    if (this.#ended || this.#deadline !== undefined) return
    this.#deadline = setTimeout(() => {
      const problem = `The connection to the signaling server was lost (${reason}) and did not come back.`
      void this.end(signalingError('ERR_SIGNALING_UNREACHABLE', problem))
    }, this.#reconnectTimeout)
    this.#handlers.oninterrupted()
    if (!this.#socket.active) this.#socket.connect() // the server closed it: Socket.IO does not come back by itself
  }
}

function foreignServer(): SignalingError {
  return signalingError('ERR_SIGNALING_VERSION', 'The server does not speak the protocol of floe signaling.')
}

/** `socket.disconnect()` only begins to close: what has been sent before still goes out. */
function engineClosed(socket: ClientSocket): Promise<void> {
  const { engine } = socket.io
  if (engine === undefined || !socket.connected) return Promise.resolve()
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, CLOSE_TIMEOUT)
    engine.once('close', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
