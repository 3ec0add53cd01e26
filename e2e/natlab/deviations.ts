/** Where a cell of the kernel's matrix comes to something else than theory says, and why. First one wins. */
import { isExpected } from './expected.ts'
import type { Result } from './matrix.ts'

export interface Deviation {
  readonly reason: string
  holds(result: Result): boolean
}

/** Read in werift 0.25.2's own code, and seen in what its hosts send. */
export const DEVIATIONS: readonly Deviation[] = [
  {
    reason:
      'werift asks the first TURN server of its list alone (parseIceServers), over UDP and then over TCP to the same port: ' +
      'the one that listens on 443, which is all that may leave, is never asked',
    holds: ({ peers, places }) => peers.includes('werift') && places.includes('only-443'),
  },
  {
    reason:
      'werift makes no addresses of a NAT64’s prefix, neither for servers nor for peers: a host without IPv4 has nothing ' +
      'but its own IPv6 address, and reaches nobody who has none',
    holds: ({ peers, places }) => peers.includes('werift') && places.includes('nat64'),
  },
]

/** Why this cell is other than expected; `undefined` when it is not, or when nobody knows. */
export function deviationOf(result: Result): Deviation | undefined {
  return isExpected(result) ? undefined : DEVIATIONS.find(({ holds }) => holds(result))
}
