import type { Message } from './receive-queue.ts'
import { type Carrier, Session, type SessionOutput } from './session.ts'

/** One way to carry frames, as the driver sees it. */
export interface CarrierLink {
  /** Whether another data frame may be sent. Others always may. */
  readonly isReady: boolean
  send(frame: Uint8Array<ArrayBuffer>): void
}

type DriverOutput = Exclude<SessionOutput, { type: 'frame' }>

/** Gives a session its clock and its carriers. */
export class SessionDriver {
  readonly #session = new Session()
  readonly #links: Partial<Record<Carrier, CarrierLink>> = {}
  readonly #onoutput: (output: DriverOutput) => void
  #timer: ReturnType<typeof setTimeout> | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #isDraining = false
  #isStopped = false

  constructor(onoutput: (output: DriverOutput) => void) {
    this.#onoutput = onoutput
  }

  get path(): Carrier | undefined {
    return this.#session.path
  }

  get bufferedAmount(): number {
    return this.#session.bufferedAmount
  }

  /** The carrier can be used from now on. */
  attach(carrier: Carrier, link: CarrierLink): void {
    if (this.#isStopped) return
    this.#links[carrier] = link
    this.#session.setUp(performance.now(), carrier, true)
    this.#session.setReady(performance.now(), carrier, link.isReady)
    this.#drain()
  }

  detach(carrier: Carrier): void {
    if (this.#links[carrier] === undefined) return
    delete this.#links[carrier]
    this.#session.setUp(performance.now(), carrier, false)
    this.#drain()
  }

  /** The carrier takes frames again. */
  ready(carrier: Carrier): void {
    const link = this.#links[carrier]
    if (link === undefined) return
    this.#session.setReady(performance.now(), carrier, link.isReady)
    this.#drain()
  }

  receive(carrier: Carrier, frame: Uint8Array): void {
    if (this.#isStopped) return
    this.#session.handleFrame(performance.now(), carrier, frame)
    this.#drain()
  }

  suspectDirect(): void {
    this.#session.suspectDirect(performance.now())
    this.#drain()
  }

  send(message: string | Uint8Array): void {
    this.#session.send(performance.now(), message)
    this.#drain()
  }

  read(): Message | undefined {
    const message = this.#session.read(performance.now())
    this.#drain()
    return message
  }

  finish(reason: string): void {
    this.#session.finish(performance.now(), reason)
    this.#drain()
  }

  /** Nothing goes out any more. What has come in can still be read. */
  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  /** Handlers may call back: what they cause is drained by the loop that called them. */
  #drain(): void {
    if (this.#isDraining || this.#isStopped) return
    this.#isDraining = true
    try {
      for (let output = this.#session.poll(); output !== undefined; output = this.#session.poll()) {
        if (output.type === 'frame') this.#transmit(output.carrier, output.bytes)
        else this.#onoutput(output)
        if (this.#isStopped) return
      }
    } finally {
      this.#isDraining = false
    }
    this.#setTimer()
  }

  #transmit(carrier: Carrier, bytes: Uint8Array<ArrayBuffer>): void {
    const link = this.#links[carrier]
    if (link === undefined) return
    link.send(bytes)
    if (this.#links[carrier] === link) this.#session.setReady(performance.now(), carrier, link.isReady)
  }

  #setTimer(): void {
    const at = this.#session.timeout()
    if (at === this.#timerAt) return
    // A timer that is early only looks again: cheaper than a new one for every frame.
    if (this.#timer !== undefined && this.#timerAt <= at) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#timerAt = at
    if (at === Number.POSITIVE_INFINITY) return
    this.#timer = setTimeout(() => this.#onTimeout(), Math.max(0, at - performance.now()))
  }

  #onTimeout(): void {
    this.#timer = undefined
    this.#timerAt = Number.POSITIVE_INFINITY
    this.#session.handleTimeout(performance.now())
    this.#drain()
    this.#setTimer()
  }
}
