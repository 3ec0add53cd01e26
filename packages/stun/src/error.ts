/** What kind of mistake the caller made. */
export type StunErrorCode =
  /** An argument is outside what the function is documented to take. */
  | 'ERR_STUN_ARGUMENT'
  /** An attribute has no row in the table, or its value does not fit the wire format. */
  | 'ERR_STUN_ATTRIBUTE'
  /** The message would not fit the 16-bit length field (RFC 8489 §5). */
  | 'ERR_STUN_TOO_LONG'

/** A caller's mistake, thrown at once. Bytes from the network never lead here. */
export class StunError extends Error {
  override readonly name = 'StunError'
  readonly code: StunErrorCode

  constructor(code: StunErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
