import type { ExchangeConnection } from '../src/index.ts'

/** An in-memory connection: whole messages, in order, delivered whenever the pair's `choose` says so. */
export interface Link extends ExchangeConnection {
  /** Everything that was sent from this end, for tests that look at the wire. */
  readonly sent: (string | Uint8Array)[]
  close(reason: string): void
}

interface Step {
  from: number
  data: string | Uint8Array
  resolve(): void
}

/**
 * Two connected ends. `choose(n)` picks which of the n ends that have something under way moves next: the order within
 * one end never changes, every interleaving of the two can occur.
 */
export function connectionPair(choose: (n: number) => number = () => 0): [Link, Link] {
  const queues: Step[][] = [[], []]
  const closed = deferred<string>()
  let running = false
  let over = false

  const run = async () => {
    if (running) return
    running = true
    while (queues.some((queue) => queue.length > 0)) {
      await new Promise(setImmediate)
      const busy = queues.filter((queue) => queue.length > 0)
      const step = busy[choose(busy.length)]?.shift()
      if (!step || over) break
      links[1 - step.from]?.onmessage?.(step.data)
      step.resolve()
    }
    running = false
  }

  const link = (from: number): Link => ({
    sent: [],
    onmessage: null,
    closed: closed.promise,
    send(data) {
      if (over) return Promise.reject(new Error('closed'))
      this.sent.push(data)
      return new Promise((resolve) => {
        // A copy, as a network makes one: whoever keeps writing into a sent buffer is not noticed otherwise.
        queues[from]?.push({ from, data: typeof data === 'string' ? data : data.slice(), resolve })
        void run()
      })
    },
    close(reason) {
      over = true
      closed.resolve(reason)
    },
  })
  const links = [link(0), link(1)]
  return [links[0]!, links[1]!]
}

function deferred<T>(): { promise: Promise<T>; resolve(value: T): void } {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
