export type NatErrorCode =
  /** An argument is outside what the function is documented to take. */
  | 'ERR_NAT_ARGUMENT'
  /** The object has been closed. */
  | 'ERR_NAT_CLOSED'
  /** A server could not listen; `cause` is the system's error. */
  | 'ERR_NAT_LISTEN'

/** A caller's mistake or the system's refusal, thrown at once. Bytes from the network never lead here; the message says what to do next. */
export class NatError extends Error {
  readonly code: NatErrorCode
  override readonly name = 'NatError'

  constructor(code: NatErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
