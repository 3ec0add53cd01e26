export type ConnectErrorCode =
  | 'ERR_CONNECT_ARGUMENT'
  | 'ERR_CONNECT_ABORTED'
  | 'ERR_CONNECT_TIMEOUT'
  | 'ERR_CONNECT_FAILED'
  | 'ERR_CONNECT_PEER_LEFT'
  | 'ERR_CONNECT_SIGNALING'
  | 'ERR_CONNECT_UNAUTHENTICATED'

/** Why there is no connection (any more): `code` for programs, `message` for people, `cause` when something threw. */
export class ConnectError extends Error {
  override readonly name = 'ConnectError'
  readonly code: ConnectErrorCode

  constructor(code: ConnectErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export function aborted(signal: AbortSignal): ConnectError {
  return new ConnectError('ERR_CONNECT_ABORTED', 'Connecting was aborted', { cause: signal.reason })
}
