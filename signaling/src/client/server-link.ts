import type { Socket } from 'socket.io-client'
import * as v from 'valibot'
import {
  type ClientEvents,
  type ErrorBody,
  ErrorBodySchema,
  type IceServer,
  IceServersSchema,
  NumberedEventSchema,
  type RoomEvent,
  type ServerEvents,
  type Signal,
  SignalingError,
  type SignalingMessage,
  signalingError,
  type Welcome,
  WelcomeSchema,
} from '../protocol.ts'
import { RelaySchema } from '../relay.ts'
import { Heard, Pending } from './pending.ts'

export type ClientSocket = Socket<ServerEvents, ClientEvents>

/** Why we are out of a room: we left, or the error that ended it. */
export type EndReason = 'left' | SignalingError

export interface ServerLinkHandlers {
  /** First thing on every connection, hence also after an interruption. */
  onwelcome(welcome: Welcome): void
  /** After the welcome and all that had waited for it: what is sent now goes out now. */
  onready(): void
  onevent(event: RoomEvent): void
  /** Whether there is somebody to take a signal of this peer now. */
  accepts(from: string): boolean
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

/**
 * When a signal is sent again, in ms after the last time, each time twice as late: servers lose them only when they die, or what
 * is between them. `patience`: at least so many times the usual, so that who is slow is not made slower. `batch`: how many at
 * once, so that a long queue stays below the server's rate.
 */
const RESEND = { first: 1_000, longest: 8_000, patience: 4, batch: 64 } as const

/** Time for the connection to close in order when we leave, in ms; then it is cut. */
const CLOSE_TIMEOUT = 1_000

/** Our membership as the server sees it, over one Socket.IO connection after the other; see `RoomEvent` for delivery. */
export class ServerLink {
  readonly #socket: ClientSocket
  readonly #reconnectTimeout: number
  readonly #handlers: ServerLinkHandlers
  readonly #pending = new Pending()
  readonly #heard = new Heard()
  /** Of the last event, so that a repetition is known. */
  #received = 0
  #welcomed = false
  #ended = false
  #closing: Promise<void> = Promise.resolve()
  #deadline: ReturnType<typeof setTimeout> | undefined
  /** When each pending signal was sent last, in ms of `performance.now()`, and when it is due again. */
  readonly #due = new Map<number, { sent: number; wait: number; again: boolean }>()
  /** From a signal to its acknowledgement, in ms, on average. */
  #usual = 0
  #resend: ReturnType<typeof setTimeout> | undefined

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
    const signal = this.#pending.add(to, message)
    if (signal !== undefined) {
      this.#transmit(signal)
      this.#scheduleResend()
      return
    }
    const problem = 'Too many messages wait for the connection to the server; this one is lost.'
    this.#handlers.onerror(signalingError('ERR_SIGNALING_OVERFLOW', problem))
  }

  /** The peer may have missed what was on its way. */
  sendAgain(to: string): void {
    for (const signal of this.#pending.signals(to)) this.#transmit(signal)
  }

  /** The peer has gone: what it has not taken by now it never will. */
  forget(to: string): void {
    for (const [number] of this.#pending.signals(to)) {
      this.#pending.remove(number)
      this.#due.delete(number)
    }
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
    clearTimeout(this.#resend)
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

  #transmit([number, to, message, after]: Signal): void {
    // Not into Socket.IO's own buffer: what it would send on reconnection is sent on the welcome.
    if (!this.#welcomed) return
    const former = this.#due.get(number)
    const wait = former ? former.wait * 2 : Math.max(RESEND.first, RESEND.patience * this.#usual)
    this.#due.set(number, {
      sent: performance.now(),
      wait: Math.min(wait, RESEND.longest),
      again: former !== undefined,
    })
    this.#socket.emit('signal', number, to, message, after, (answer: unknown) => {
      const refusal = v.safeParse(ErrorBodySchema, answer)
      // What was too much at once is due again later.
      if (!refusal.success || refusal.output.code !== 'ERR_SIGNALING_RATE') this.#settle(number)
      if (refusal.success) this.#handlers.onerror(new SignalingError(refusal.output))
    })
  }

  #settle(number: number): void {
    const due = this.#due.get(number)
    // What has been sent twice does not tell which of them was acknowledged.
    if (due?.again === false) this.#usual += (performance.now() - due.sent - this.#usual) / 8
    this.#pending.remove(number)
    this.#due.delete(number)
  }

  #scheduleResend(): void {
    if (this.#resend !== undefined || this.#pending.isEmpty || this.#ended) return
    this.#resend = setTimeout(() => {
      this.#resend = undefined
      const now = performance.now()
      const late = this.#pending.signals().filter(([number]) => {
        const due = this.#due.get(number)
        return due === undefined || due.sent + due.wait <= now
      })
      for (const signal of late.slice(0, RESEND.batch)) this.#transmit(signal)
      this.#scheduleResend()
    }, RESEND.first)
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
    this.#due.clear()
    for (const signal of this.#pending.signals()) this.#transmit(signal)
    this.#scheduleResend()
    this.#handlers.onready()
  }

  #onevent(raw: unknown[]): void {
    const acknowledge = raw.pop()
    const parsed = v.safeParse(NumberedEventSchema, raw)
    if (!parsed.success || this.#ended) return
    const [number, event] = parsed.output
    const isNew = number > this.#received && this.#take(event)
    // Before it is handled: what the application throws is no reason to send it again.
    if (typeof acknowledge === 'function') acknowledge(isNew !== undefined)
    this.#received = Math.max(this.#received, number)
    if (isNew === true) this.#handlers.onevent(event)
  }

  /** `true`: it is to be handled. `false`: it has been. `undefined`: it cannot be now, and has to come again. */
  #take(event: RoomEvent): boolean | undefined {
    if (event.type !== 'signal') return true
    const { from, number, after = 0 } = event
    if (number === undefined) return true // of a server that counts by itself
    const judgement = this.#heard.judge(from, number, after)
    if (judgement === 'known') return false
    if (judgement === 'early' || !this.#handlers.accepts(from)) return undefined
    this.#heard.note(from, number)
    return true
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
