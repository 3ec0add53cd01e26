import type { HandshakeFragment } from './dtls-record.ts'

/** A certificate chain is the longest message; browsers send about 500 bytes. */
const MAX_MESSAGE_BYTES = 16_384
/** A flight has at most six messages; more than that ahead of time is not a handshake. */
const MAX_MESSAGES_AHEAD = 8

export interface HandshakeMessage {
  readonly type: number
  readonly messageSeq: number
  readonly body: Buffer
}

interface Assembly {
  readonly type: number
  readonly body: Buffer
  /** One flag per byte: fragments may overlap when a retransmission is cut differently (RFC 6347 §4.2.3). */
  readonly have: Uint8Array
  missing: number
}

/**
 * Turns plaintext handshake fragments, in any order and any number of times, into whole messages, in order and once:
 * what werift's handshake code takes for granted.
 */
export class HandshakeInbox {
  #next = 0
  readonly #assemblies = new Map<number, Assembly>()

  /** The messages that this fragment completes; `'repeated'` when its message has been delivered before. */
  add(fragment: HandshakeFragment): HandshakeMessage[] | 'repeated' {
    if (fragment.messageSeq < this.#next) return 'repeated'
    if (fragment.messageSeq >= this.#next + MAX_MESSAGES_AHEAD || fragment.length > MAX_MESSAGE_BYTES) return []
    this.#collect(fragment)
    return this.#deliver()
  }

  #collect(fragment: HandshakeFragment): void {
    const { messageSeq, type, length, offset, body } = fragment
    let assembly = this.#assemblies.get(messageSeq)
    // A fragment that contradicts the earlier ones starts over: a forged one must not lock out the real message.
    if (!assembly || assembly.type !== type || assembly.body.length !== length) {
      assembly = { type, body: Buffer.alloc(length), have: new Uint8Array(length), missing: length }
      this.#assemblies.set(messageSeq, assembly)
    }
    for (let i = 0; i < body.length; i++) {
      if (assembly.have[offset + i]) continue
      assembly.have[offset + i] = 1
      assembly.body[offset + i] = body[i]!
      assembly.missing--
    }
  }

  #deliver(): HandshakeMessage[] {
    const whole: HandshakeMessage[] = []
    for (let at = this.#assemblies.get(this.#next); at?.missing === 0; at = this.#assemblies.get(this.#next)) {
      whole.push({ type: at.type, messageSeq: this.#next, body: at.body })
      this.#assemblies.delete(this.#next++)
    }
    return whole
  }
}
