import { isIPv4, sameAddress } from '@floe/stun'
import type { Candidate } from './candidate.ts'
import type { LocalBase } from './local-base.ts'
import { uniquePriority } from './local-preference.ts'
import type { View } from './view.ts'

/** Local preference below those of all that servers tell. */
const LAST = 2 ** 13

/**
 * A NAT that shows a socket to each server at another port may keep the socket's own for the peer: because somebody has
 * forwarded it there, or because another host holds it towards the servers only. Where neither server has seen it, it is
 * worth one candidate more. It is in vain mostly: its checks come after all others but relays', and none waits for them. Nor
 * may it rank with relays: libwebrtc, where it controls, would not leave one for a path that was signalled as no better.
 * `candidates`: those that there are. `undefined`: there is nothing to guess, or it is among them.
 */
export function guessKeptPort(
  { address, tcpType, hostname }: LocalBase,
  views: readonly View[],
  candidates: readonly Candidate[],
): Candidate | undefined {
  // What stands behind an mDNS name is nobody's business, the port included.
  if (tcpType || hostname !== undefined || !isIPv4(address.ip)) return undefined
  const seen = candidates.find(({ type, base, url }) => type === 'srflx' && base === address && url !== undefined)
  if (!seen || views.every(({ mapped }) => sameAddress(mapped, seen.address))) return undefined
  if (views.some(({ mapped }) => mapped.ip !== seen.address.ip || mapped.port === address.port)) return undefined
  const kept = { ip: seen.address.ip, port: address.port }
  if (candidates.some((known) => known.base === address && sameAddress(known.address, kept))) return undefined
  const { url: _, ...like } = seen
  const priority = uniquePriority(candidates, 'srflx', LAST, 'udp')
  return { ...like, address: kept, foundation: `k${kept.port}`, priority }
}
