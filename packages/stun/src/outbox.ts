/** Outputs in order, taken one at a time. Reuses one short array: a packet costs no allocation here. */
export class Outbox<Output> {
  #outputs = room<Output>()
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
    if (this.#head === this.#tail) this.#clear()
    return output
  }

  /** What a burst has filled is given back: most machines are idle most of the time. */
  #clear(): void {
    this.#head = this.#tail = 0
    if (this.#outputs.length > ROOM) this.#outputs = room()
  }
}

/** Outputs that fit before the array grows: what a packet causes. */
const ROOM = 4

function room<Output>(): (Output | undefined)[] {
  return [undefined, undefined, undefined, undefined]
}
