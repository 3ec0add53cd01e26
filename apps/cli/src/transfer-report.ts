import { formatSize, type Output, printable } from './output.ts'

/** News of one transfer, at most this often, in ms. */
const INTERVAL = 500

/** Tells how far a file is, not too often. */
export class TransferReport {
  readonly #output: Output
  readonly #direction: 'sending' | 'receiving'
  readonly #file: { readonly name: string; readonly size: number }
  readonly #started = performance.now()
  #told = 0

  constructor(output: Output, direction: 'sending' | 'receiving', file: { name: string; size: number }) {
    this.#output = output
    this.#direction = direction
    this.#file = file
  }

  /** So many bytes are done. */
  update(bytes: number): void {
    const now = performance.now()
    if (now - this.#told < INTERVAL) return
    this.#told = now
    const { name, size } = this.#file
    const percent = size === 0 ? 100 : Math.floor((bytes / size) * 100)
    const rate = formatSize(bytes / ((now - this.#started) / 1000))
    this.#output.progress(
      { direction: this.#direction, name, bytes, size },
      `${this.#direction} ${printable(name)}: ${percent} % of ${formatSize(size)}, ${rate}/s`,
    )
  }

  done(sha256: string, path?: string): void {
    const { name, size } = this.#file
    const seconds = (performance.now() - this.#started) / 1000
    const direction = this.#direction === 'sending' ? 'sent' : 'received'
    const where = path === undefined ? printable(name) : path
    this.#output.event(
      'file',
      { direction, name, size, sha256, ...(path === undefined ? {} : { path }) },
      `${direction} ${where}: ${formatSize(size)} in ${seconds.toFixed(1)} s, SHA-256 ${sha256}`,
    )
  }
}
