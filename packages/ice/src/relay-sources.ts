/** The local IP addresses that a server is reached from, the best first: another one when one leads nowhere. */
export class RelaySources {
  #ips: readonly string[]
  /** How many led nowhere in a row. */
  #tried = 0

  constructor(ips: readonly string[]) {
    this.#ips = ips
  }

  /** The one in use; none when there is none left. */
  get current(): string | undefined {
    return this.#ips[this.#tried % this.#ips.length]
  }

  get hasOthers(): boolean {
    return this.#ips.length > 1
  }

  /** One that is not among them. */
  newOf(ips: readonly string[]): string | undefined {
    return ips.find((ip) => !this.#ips.includes(ip))
  }

  /** These there are now; `next` is the one to use. */
  replace(ips: readonly string[], next = ips[0]): void {
    this.#ips = ips
    this.#tried = Math.max(0, ips.indexOf(next ?? ''))
  }

  /** `false`: that was the last one that had not been tried. */
  next(): boolean {
    return ++this.#tried % this.#ips.length !== 0
  }
}
