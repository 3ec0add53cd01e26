/** What kind of mistake the caller made. */
export type TurnErrorCode =
  /** An argument is outside what the function is documented to take. */
  | 'ERR_TURN_ARGUMENT'
  /** The call does not fit the state of the allocation. */
  | 'ERR_TURN_STATE'

/** A caller's mistake, thrown at once. What a server says or doesn't say is an output, never a throw. */
export class TurnError extends Error {
  override readonly name = 'TurnError'
  readonly code: TurnErrorCode

  constructor(code: TurnErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
