/** Lines of candidates that werift has not handed down yet. An honest peer has a few. */
const MOST = 100
/** Foundation to port: what werift leaves as it is. */
const KEY_WORDS = 6

/** The peer's candidate lines as they came: werift keeps nothing of the extensions that RFC 8839 §5.1 lets them have. */
export class RemoteLines {
  readonly #lines = new Map<string, string>()

  /** A line, or a description with some. */
  remember(text: string): void {
    for (const [line, words = ''] of text.matchAll(/\bcandidate:(\S[^\r\n]*)/g)) {
      const [oldest] = this.#lines.size < MOST ? [] : this.#lines.keys()
      if (oldest !== undefined) this.#lines.delete(oldest)
      this.#lines.set(keyOf(words), line)
    }
  }

  /** The line that werift has read and now writes as `words`; without it, what werift writes. */
  take(words: string): string {
    const key = keyOf(words)
    const line = this.#lines.get(key) ?? `candidate:${words}`
    this.#lines.delete(key)
    return line
  }
}

function keyOf(words: string): string {
  return words.split(/\s+/, KEY_WORDS).join(' ')
}
