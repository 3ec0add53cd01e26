import { type Address, formatAddress } from '@floe/stun'

/**
 * So many packets to IPv4 through one translator, and nothing heard through it for so long, milliseconds: what a few
 * peers that are not there make of it, and three times the mean pause between two questions for consent (RFC 7675 §5.1).
 */
const SILENT_PACKETS = 12
const SILENCE = 15_000
/** More than an agent has pairs and servers. */
const MAX_DESTINATIONS = 256

/**
 * Which of several translators (RFC 7050 §3) packets go through. As long as none has been heard of, each packet to a
 * destination takes the next, the first ones the best: an answer to the first comes before the second leaves. Then the
 * one that was heard of takes all, since each shows us at another address, until it is silent.
 */
export class TranslatorChoice {
  readonly #count: number
  #current: number | undefined
  #heardAt = 0
  #unanswered = 0
  /** Packets to each destination, while none has been heard of. */
  readonly #sent = new Map<string, number>()

  constructor(count: number) {
    this.#count = count
  }

  /** For the packet to this IPv4 destination that leaves now. */
  next(destination: Address): number {
    if (this.#current !== undefined) {
      if (++this.#unanswered > SILENT_PACKETS && performance.now() > this.#heardAt + SILENCE) {
        this.#take((this.#current + 1) % this.#count)
      }
      return this.#current
    }
    const key = formatAddress(destination)
    const sent = this.#sent.get(key) ?? 0
    if (sent > 0 || this.#sent.size < MAX_DESTINATIONS) this.#sent.set(key, sent + 1)
    return sent % this.#count
  }

  /** A packet has come through this one, from where packets went to. */
  heard(choice: number): void {
    if (choice === (this.#current ?? choice)) this.#take(choice)
  }

  #take(choice: number): void {
    this.#current = choice
    this.#heardAt = performance.now()
    this.#unanswered = 0
    this.#sent.clear()
  }
}
