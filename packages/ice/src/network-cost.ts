import type { NetworkInfo } from '@floe/stun'
import type { Candidate } from './candidate.ts'
import type { CandidatePair } from './candidate-pair.ts'

/** Names of the candidate line, as libwebrtc writes them. */
const ID = 'network-id'
const COST = 'network-cost'
const HIGHEST = 0xffff

/** How a candidate tells of its network. libwebrtc leaves out what is zero. */
export function networkExtensions({ id, cost }: NetworkInfo): Pick<Candidate, 'extensions'> {
  const extensions: [string, string][] = []
  if (id > 0) extensions.push([ID, String(id)])
  if (cost > 0) extensions.push([COST, String(cost)])
  return { extensions }
}

/** What a candidate tells of its network; undefined: nothing that can be understood. */
export function networkInfoOf({ extensions }: Candidate): NetworkInfo | undefined {
  if (!extensions) return undefined
  const [id, cost] = [ID, COST].map((name) => numberOf(extensions.find(([key]) => key === name)?.[1]))
  return id === undefined && cost === undefined ? undefined : { id: id ?? 0, cost: cost ?? 0 }
}

/** libwebrtc's cost of a pair: that of both networks. `peersNetwork` is what the peer's own checks have said last. */
export function costOf(pair: Costly): number {
  return (networkInfoOf(pair.local)?.cost ?? 0) + (peersOf(pair)?.cost ?? 0)
}

/**
 * By how much `a` is cheaper than `b`. An end whose network is known on one of the two alone says nothing: what a peer has
 * not told yet is not free of charge.
 */
export function costDifference(a: Costly, b: Costly): number {
  return difference(networkInfoOf(a.local), networkInfoOf(b.local)) + difference(peersOf(a), peersOf(b))
}

type Costly = CandidatePair & { readonly peersNetwork?: NetworkInfo | undefined }

function peersOf({ remote, peersNetwork = networkInfoOf(remote) }: Costly): NetworkInfo | undefined {
  return peersNetwork
}

function difference(a: NetworkInfo | undefined, b: NetworkInfo | undefined): number {
  return a && b ? b.cost - a.cost : 0
}

function numberOf(text: string | undefined): number | undefined {
  const value = text !== undefined && /^\d{1,5}$/.test(text) ? Number(text) : HIGHEST + 1
  return value <= HIGHEST ? value : undefined
}
