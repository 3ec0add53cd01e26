import type { Address } from '@floe/stun'
import { addressFamily, sameAddress } from '@floe/stun'
import type { Candidate } from './candidate.ts'
import { addressScope } from './candidate.ts'
import type { Pair } from './candidate-pair.ts'
import type { Generation } from './generation.ts'
import type { View } from './view.ts'

/** What ICE has shown of a side's NAT, without asking anybody more. */
export interface NatEvidence {
  readonly mapping: 'unknown' | 'endpoint-independent' | 'endpoint-dependent'
  /** The first external address that was seen. */
  readonly address: Address
  /** All ports that were seen at that IP address. */
  readonly ports: readonly number[]
}

/** Of our own: what STUN servers and the peer (through its relay too) have seen of one socket. `base`: that socket. */
export function ownNat({ gatherer, checklist }: Generation): (NatEvidence & { readonly base: Candidate }) | undefined {
  const isSeen = ({ type, url, protocol, address }: Candidate) =>
    protocol === 'udp' && addressFamily(address.ip) === 4 && type === 'srflx' && url !== undefined
  const seen = gatherer.candidates.find(isSeen)
  const base = gatherer.candidates.find(({ type, address }) => type === 'host' && address === seen?.base)
  if (!seen || !base) return undefined
  const views = gatherer.views(base.address)
  // Servers are asked from an unused port; the peer's relay may have taken it before we sent there.
  if (views.length < 2) {
    const pairs = checklist.pairs.filter((pair) => pair.base === base.address && pair.state === 'succeeded')
    views.push(...pairs.filter(({ local }) => local.type !== 'host').map(viewOf))
  }
  return { base, ...judge(seen.address, views) }
}

/** Of a peer that tells nothing of it: its candidates, and where its checks came from. */
export function peersNat(remoteCandidates: readonly Candidate[]): NatEvidence | undefined {
  const seen = remoteCandidates.filter(isReflexive)
  const first = seen.find(({ type }) => type === 'srflx') ?? seen[0]
  if (!first) return undefined
  const ports = portsAt(first.address.ip, seen)
  // One address from several servers is one candidate: nobody can tell it from that of a single server.
  return { mapping: ports.length > 1 ? 'endpoint-dependent' : 'endpoint-independent', address: first.address, ports }
}

/**
 * Whether many packets may go to this IP address: the peer has answered a check there, so it is not just an address that
 * it names, and neither a relay's.
 */
export function isPeersOwn({ checklist, remoteCandidates }: Generation, ip: string): boolean {
  if (remoteCandidates.some(({ type, address }) => type === 'relay' && address.ip === ip)) return false
  return checklist.pairs.some(({ remote, destination, stats }) => {
    return destination.ip === ip && remote.protocol === 'udp' && remote.type !== 'relay' && stats.responsesReceived > 0
  })
}

function viewOf({ destination, local, validAt }: Pair): View {
  return { observer: destination, mapped: local.address, since: validAt }
}

function judge(address: Address, views: readonly View[]): NatEvidence {
  const ports = [...new Set(views.filter(({ mapped }) => mapped.ip === address.ip).map(({ mapped }) => mapped.port))]
  if (views.some(({ mapped }) => !sameAddress(mapped, address)))
    return { mapping: 'endpoint-dependent', address, ports }
  const [first] = views
  const isAgreed = views.some(({ observer }) => first && !sameAddress(observer, first.observer))
  return { mapping: isAgreed ? 'endpoint-independent' : 'unknown', address, ports }
}

function isReflexive({ type, protocol, address }: Candidate): boolean {
  if (protocol !== 'udp' || (type !== 'srflx' && type !== 'prflx')) return false
  const scope = addressFamily(address.ip) === 4 ? addressScope(address.ip) : undefined
  return scope === 'global' || scope === 'shared' || scope === 'private'
}

function portsAt(ip: string, candidates: readonly Candidate[]): number[] {
  const ports = (some: readonly Candidate[]) => [...new Set(some.map(({ address }) => address.port))]
  const there = candidates.filter(({ address }) => address.ip === ip)
  // A peer's guess (`guessKeptPort`) shows nothing of where its NAT's other ports are.
  const seen = ports(there.filter(({ address, relatedAddress }) => address.port !== relatedAddress?.port))
  return seen.length > 1 ? seen : ports(there)
}
