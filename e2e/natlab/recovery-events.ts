/** What may happen to the path in use, and how soon data has to flow again. Times in milliseconds. */
import type { Fault } from '../topology/fault.ts'
import { EIM_APDF as EASY, APDM_RANDOM as HARD } from '../topology/nat-types.ts'
import type { Placement } from '../topology/placement.ts'

export interface RecoveryEvent {
  readonly name: string
  readonly a: readonly Placement[]
  readonly b: readonly Placement[]
  /** Both are told of two TURN servers, and of nothing else; otherwise of STUN servers alone. */
  readonly relays?: boolean
  /** `inUse`: the number of the interface of `a` that carries the data or, with relays, of the server that does. */
  faults(inUse: number): readonly Fault[]
  /** From the event until data flows again, at the 95th percentile. */
  readonly within: number
}

const HOME: Placement = { nat: EASY }

export const RECOVERY_EVENTS: readonly RecoveryEvent[] = [
  {
    name: 'the path in use dies without a word; there is a backup',
    a: [HOME, HOME],
    b: [{}],
    faults: (inUse) => [{ kind: 'link', at: 0, of: 'a', interface: inUse, quality: { drops: 'all' } }],
    within: 1_000,
  },
  {
    name: 'the interface in use goes down; there is another',
    a: [HOME, HOME],
    b: [{}],
    faults: (inUse) => [{ kind: 'interface-gone', at: 0, of: 'a', interface: inUse }],
    within: 1_500,
  },
  {
    name: 'the NAT forgets its mappings, and makes others',
    a: [{ nat: HARD }],
    b: [{}],
    faults: () => [{ kind: 'nat-reboot', at: 0, of: 'a' }],
    within: 2_000,
  },
  {
    name: 'the relay in use dies; there is another',
    a: [{ nat: HARD }],
    b: [{ nat: HARD }],
    relays: true,
    faults: (inUse) => [{ kind: 'relay-down', at: 0, relay: inUse }],
    within: 2_000,
  },
  {
    name: 'the peer’s NAT gets another address',
    a: [HOME],
    b: [{}],
    faults: () => [{ kind: 'wan-address', at: 0, of: 'a' }],
    within: 1_500,
  },
  {
    name: 'the peer moves to another network: its only interface goes, another one comes',
    a: [HOME],
    b: [{}],
    faults: () => [
      { kind: 'interface-gone', at: 0, of: 'a', interface: 0 },
      { kind: 'interface-new', at: 0, of: 'a', placement: HOME },
    ],
    within: 1_500,
  },
]
