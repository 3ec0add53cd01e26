/**
 * The operations chain of webrtc-pc §4.4.1.2: what negotiates takes effect one after another, in the order of the calls.
 * What is under way when the connection closes never settles.
 */
export class OperationsChain {
  readonly #isClosed: () => boolean
  readonly #onempty: () => void
  #last: Promise<void> = Promise.resolve()
  #length = 0

  constructor(isClosed: () => boolean, onempty: () => void) {
    this.#isClosed = isClosed
    this.#onempty = onempty
  }

  get isEmpty(): boolean {
    return this.#length === 0
  }

  /** Resolves when all operations so far are over. */
  get settled(): Promise<void> {
    return this.#last
  }

  /** Rejects with InvalidStateError when the connection is closed already. */
  run<Result>(operation: () => Promise<Result>): Promise<Result> {
    if (this.#isClosed()) return Promise.reject(new DOMException('The connection is closed', 'InvalidStateError'))
    this.#length++
    return new Promise((resolve, reject) => {
      this.#last = this.#last.then(() => this.#perform(operation, resolve, reject))
    })
  }

  async #perform<Result>(
    operation: () => Promise<Result>,
    resolve: (result: Result) => void,
    reject: (reason: unknown) => void,
  ): Promise<void> {
    if (this.#isClosed()) return
    try {
      const result = await operation()
      if (!this.#isClosed()) resolve(result)
    } catch (error) {
      if (!this.#isClosed()) reject(error)
    }
    if (--this.#length === 0 && !this.#isClosed()) this.#onempty()
  }
}
