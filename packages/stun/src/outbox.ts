/** Outputs in order, taken one at a time. Reuses one array and never shortens it: a packet costs no allocation here. */
export class Outbox<Output> {
  readonly #outputs: (Output | undefined)[] = []
  #head = 0
  #tail = 0

  get empty(): boolean {
    return this.#head === this.#tail
  }

  push(output: Output): void {
    this.#outputs[this.#tail++] = output
  }

  poll(): Output | undefined {
    if (this.#head === this.#tail) return undefined
    const output = this.#outputs[this.#head]
    this.#outputs[this.#head++] = undefined
    if (this.#head === this.#tail) this.#head = this.#tail = 0
    return output
  }
}
