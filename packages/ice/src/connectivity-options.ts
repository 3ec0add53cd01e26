import type { PairingOptions } from './pairing.ts'
import type { IceRole } from './parameters.ts'
import type { Sources } from './sources.ts'
import type { Traversal } from './traversal.ts'

export interface ConnectivityOptions extends PairingOptions {
  readonly role: IceRole
  readonly lite: boolean
  readonly traversal: () => Traversal | undefined
  /** Where packets leave from: sockets, and relays that have to be looked after. */
  readonly sources: () => Pick<Sources, 'bindChannel' | 'relays' | 'wayOut'>
}
