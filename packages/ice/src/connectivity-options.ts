import type { Pair } from './candidate-pair.ts'
import type { PairingOptions } from './pairing.ts'
import type { IceRole } from './parameters.ts'
import type { Traversal } from './traversal.ts'

export interface ConnectivityOptions extends PairingOptions {
  readonly role: IceRole
  readonly lite: boolean
  readonly traversal: () => Traversal | undefined
  /** A check has succeeded: the pair can carry data. */
  readonly onvalid: (now: number, pair: Pair) => void
  /** The pair in use has died or lost its consent. */
  readonly ondead: (now: number, pair: Pair) => void
}
