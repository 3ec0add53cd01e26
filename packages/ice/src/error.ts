export type IceErrorCode = 'ERR_ICE_STATE' | 'ERR_ICE_ARGUMENT' | 'ERR_ICE_SERVER' | 'ERR_ICE_FAILED' | 'ERR_ICE_CLOSED'

/** A caller's mistake or a local failure. Bytes from the network never cause one; the message says what to do next. */
export class IceError extends Error {
  readonly code: IceErrorCode
  override readonly name = 'IceError'

  constructor(code: IceErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
