import type { HandshakeFragment } from './dtls-record.ts'

/** A certificate chain is the longest message; browsers send about 500 bytes. */
const MAX_MESSAGE_BYTES = 16_384
/** A flight has at most six messages; more than that ahead of time is not a handshake. */
const MAX_MESSAGES_AHEAD = 8
/** Of all messages that are not whole yet: the length that their fragments claim. */
const MAX_ASSEMBLING_BYTES = 32_768

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

/** Puts messages together from fragments in any order, any number of times, within a fixed amount of memory. */
export class FragmentAssembler {
  readonly #assemblies = new Map<number, Assembly>()
  #claimed = 0

  /** An `urgent` message pushes out the others when there is no room, and is never pushed out by them. */
  add(fragment: HandshakeFragment, urgent: boolean): void {
    const { messageSeq, offset, body } = fragment
    const assembly = this.#assemblyOf(fragment, urgent)
    if (!assembly) return
    for (let i = 0; i < body.length; i++) {
      if (assembly.have[offset + i]) continue
      assembly.have[offset + i] = 1
      assembly.body[offset + i] = body[i]!
      assembly.missing--
    }
    this.#assemblies.set(messageSeq, assembly)
  }

  /** The message when it is whole; it is not kept. */
  take(messageSeq: number): HandshakeMessage | undefined {
    const assembly = this.#assemblies.get(messageSeq)
    if (assembly?.missing !== 0) return undefined
    this.#forget(messageSeq)
    return { type: assembly.type, messageSeq, body: assembly.body }
  }

  clear(): void {
    this.#assemblies.clear()
    this.#claimed = 0
  }

  #assemblyOf({ messageSeq, type, length }: HandshakeFragment, urgent: boolean): Assembly | undefined {
    const existing = this.#assemblies.get(messageSeq)
    if (existing?.type === type && existing.body.length === length) return existing
    // A fragment that contradicts the earlier ones starts over: a forged one must not lock out the real message.
    this.#forget(messageSeq)
    if (length > MAX_MESSAGE_BYTES) return undefined
    if (this.#claimed + length > MAX_ASSEMBLING_BYTES) {
      if (!urgent) return undefined
      this.clear()
    }
    this.#claimed += length
    return { type, body: Buffer.alloc(length), have: new Uint8Array(length), missing: length }
  }

  #forget(messageSeq: number): void {
    this.#claimed -= this.#assemblies.get(messageSeq)?.body.length ?? 0
    this.#assemblies.delete(messageSeq)
  }
}

/**
 * Turns plaintext handshake fragments, in any order and any number of times, into whole messages, in order and once:
 * what werift's handshake code takes for granted.
 */
export class HandshakeInbox {
  #next = 0
  readonly #assembler = new FragmentAssembler()

  /** The messages that this fragment completes; `'repeated'` when its message has been delivered before. */
  add(fragment: HandshakeFragment): HandshakeMessage[] | 'repeated' {
    const { messageSeq } = fragment
    if (messageSeq < this.#next) return 'repeated'
    if (messageSeq >= this.#next + MAX_MESSAGES_AHEAD) return []
    this.#assembler.add(fragment, messageSeq === this.#next)
    const whole: HandshakeMessage[] = []
    for (let message = this.#assembler.take(this.#next); message; message = this.#assembler.take(this.#next)) {
      whole.push(message)
      this.#next++
    }
    return whole
  }

  /** The messages up to this one have come in another way. */
  skipTo(messageSeq: number): void {
    this.#next = messageSeq
  }

  /** Nothing more is expected. */
  clear(): void {
    this.#assembler.clear()
  }
}
