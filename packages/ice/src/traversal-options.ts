import type { SearchGate } from './search-gate.ts'

/** Means of a driver that can set the TTL of a packet and open sockets when it is asked to. */
export interface TraversalOptions {
  /** `auto`: where one NAT gives each flow another port, its ports are searched while a relay carries the data. */
  readonly hardNat: 'auto' | 'off'
  /** Share one between all agents of a process. */
  readonly gate: SearchGate
}
