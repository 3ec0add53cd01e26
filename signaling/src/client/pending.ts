import { Outbox } from '../outbox.ts'
import type { Signal, SignalingMessage } from '../protocol.ts'
import { Recent } from '../recent.ts'

/** What waits for acknowledgement, through interruptions too. Same bounds as the server's own. */
const LIMITS = { entries: 1_024, size: 1_048_576 } as const

/** Signals that their receivers are not known to have, each with the one that it comes `after`: see `RoomEvent`. */
export class Pending {
  readonly #outbox = new Outbox<{ to: string; message: SignalingMessage }>(LIMITS)
  /** Numbers by receiver, ascending. */
  readonly #numbers = new Map<string, number[]>()

  get isEmpty(): boolean {
    return this.#numbers.size === 0
  }

  /** `undefined`: there is no room for more. */
  add(to: string, message: SignalingMessage): Signal | undefined {
    const entry = this.#outbox.add({ to, message })
    if (entry === undefined) return undefined
    const numbers = this.#numbers.get(to) ?? []
    this.#numbers.set(to, numbers)
    const after = numbers.at(-1) ?? 0
    numbers.push(entry.number)
    return [entry.number, to, message, after]
  }

  /** The receiver has it, or never will. */
  remove(number: number): void {
    const item = this.#outbox.acknowledge(number)
    if (item === undefined) return
    const left = this.#numbers.get(item.to)?.filter((other) => other !== number) ?? []
    if (left.length > 0) this.#numbers.set(item.to, left)
    else this.#numbers.delete(item.to)
  }

  /** Oldest first; all, or those for one receiver. */
  signals(receiver?: string): Signal[] {
    const last = new Map<string, number>()
    const signals: Signal[] = []
    for (const { number, item } of this.#outbox.pending()) {
      if (receiver !== undefined && item.to !== receiver) continue
      signals.push([number, item.to, item.message, last.get(item.to) ?? 0])
      last.set(item.to, number)
    }
    return signals
  }
}

/** Peers whose numbers are remembered beyond their stay, in case that they come back. */
const SENDERS = 4_096

/** Which signals of each peer have been taken. */
export class Heard {
  readonly #last = new Recent<string, number>(SENDERS)

  /** `new`: take it. `known`: it is a repetition. `early`: one that comes before it is missing. */
  judge(from: string, number: number, after: number): 'new' | 'known' | 'early' {
    const last = this.#last.get(from) ?? 0
    if (number <= last) return 'known'
    return after > last ? 'early' : 'new'
  }

  note(from: string, number: number): void {
    this.#last.set(from, number)
  }
}
