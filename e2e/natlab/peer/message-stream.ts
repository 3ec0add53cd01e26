/** Numbered messages at a steady pace over a reliable channel, and what the other end's come to. */

/** Times are milliseconds since the epoch: all peers of a lab share one clock. */
export interface StreamReport {
  /** Given to the channel. */
  readonly sent: number
  /** Of the other end's. */
  readonly received: number
  /** Arrived, but not as the one after the one before. */
  readonly outOfOrder: number
  /** Gaps between two messages of the other end's that are longer than asked for; the last one may still go on. */
  readonly gaps: readonly Gap[]
}

export interface Gap {
  readonly from: number
  readonly until: number
}

export class MessageStream {
  readonly #channel: RTCDataChannel
  readonly #arrivals: number[] = []
  #sent = 0
  #outOfOrder = 0
  #timer: ReturnType<typeof setInterval> | undefined

  constructor(connection: RTCPeerConnection, id: number) {
    this.#channel = connection.createDataChannel('stream', { negotiated: true, id })
    this.#channel.addEventListener('message', ({ data }) => {
      if (Number(data) !== this.#arrivals.length) this.#outOfOrder++
      this.#arrivals.push(now())
    })
  }

  /** One message every `interval` milliseconds from now on, as long as the channel is open. */
  start(interval: number): void {
    this.#timer = setInterval(() => {
      if (this.#channel.readyState === 'open') this.#channel.send(String(this.#sent++))
    }, interval)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Gaps that end after `since` and last for more than `least` milliseconds. */
  report(since: number, least: number): StreamReport {
    const times = [...this.#arrivals, now()]
    const gaps = times.slice(1).map((until, i) => ({ from: times[i]!, until }))
    return {
      sent: this.#sent,
      received: this.#arrivals.length,
      outOfOrder: this.#outOfOrder,
      gaps: gaps.filter(({ from, until }) => until > since && until - from > least),
    }
  }
}

function now(): number {
  return performance.timeOrigin + performance.now()
}
