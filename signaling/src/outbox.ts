/** Why an `Outbox` has limits: a peer that never acknowledges must not fill the memory. */
export interface OutboxLimits {
  readonly entries: number
  /** Sum of the sizes of their JSON, in UTF-16 units. */
  readonly size: number
}

export interface OutboxEntry<Item> {
  readonly number: number
  readonly item: Item
  readonly size: number
}

/** What was sent and not yet acknowledged, in order and numbered from 1, so that it can be sent again. */
export class Outbox<Item> {
  readonly #limits: OutboxLimits
  readonly #entries = new Map<number, OutboxEntry<Item>>()
  #last = 0
  #size = 0

  constructor(limits: OutboxLimits) {
    this.#limits = limits
  }

  /** `undefined`: full. Less urgent items are to leave some of it free: they may use the `share` (0–1) only. */
  add(item: Item, share = 1): OutboxEntry<Item> | undefined {
    const size = JSON.stringify(item).length
    if (this.#entries.size >= this.#limits.entries * share) return undefined
    if (this.#size + size > this.#limits.size * share) return undefined
    const entry = { number: ++this.#last, item, size }
    this.#entries.set(entry.number, entry)
    this.#size += size
    return entry
  }

  /** What it was; `undefined`: that has been acknowledged already, or never sent. */
  acknowledge(number: number): Item | undefined {
    const entry = this.#entries.get(number)
    if (entry === undefined) return undefined
    this.#entries.delete(number)
    this.#size -= entry.size
    return entry.item
  }

  /** Oldest first. A copy: sending may acknowledge. */
  pending(): OutboxEntry<Item>[] {
    return [...this.#entries.values()]
  }
}
