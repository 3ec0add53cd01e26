/**
 * What went wrong, for programs:
 * - `ERR_EXCHANGE_ARGUMENT`: the caller passed something that cannot be sent; nothing left.
 * - `ERR_EXCHANGE_SOURCE`: the file could not be read, or was not as long as announced.
 * - `ERR_EXCHANGE_REJECTED`: the receiver declined the file, or stopped receiving it.
 * - `ERR_EXCHANGE_CANCELLED`: the sender, or this side, cancelled the transfer.
 * - `ERR_EXCHANGE_CORRUPT`: what arrived has another length or checksum than what was announced.
 * - `ERR_EXCHANGE_PROTOCOL`: the peer sent a frame that breaks the rules.
 * - `ERR_EXCHANGE_CLOSED`: the connection ended first.
 */
export type ExchangeErrorCode =
  | 'ERR_EXCHANGE_ARGUMENT'
  | 'ERR_EXCHANGE_SOURCE'
  | 'ERR_EXCHANGE_REJECTED'
  | 'ERR_EXCHANGE_CANCELLED'
  | 'ERR_EXCHANGE_CORRUPT'
  | 'ERR_EXCHANGE_PROTOCOL'
  | 'ERR_EXCHANGE_CLOSED'

/** Every failure of this package. `message` is meant for people, `code` for programs. */
export class ExchangeError extends Error {
  override readonly name = 'ExchangeError'
  readonly code: ExchangeErrorCode

  constructor(code: ExchangeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The `error` event of an {@link Exchange}: the peer broke the protocol. Nothing else is disturbed. */
export class ExchangeErrorEvent extends Event {
  readonly error: ExchangeError

  constructor(error: ExchangeError) {
    super('error')
    this.error = error
  }
}
