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
export function costOf(pair: CandidatePair & { readonly peersNetwork?: NetworkInfo | undefined }): number {
  const { local, remote, peersNetwork = networkInfoOf(remote) } = pair
  return (networkInfoOf(local)?.cost ?? 0) + (peersNetwork?.cost ?? 0)
}

function numberOf(text: string | undefined): number | undefined {
  const value = text !== undefined && /^\d{1,5}$/.test(text) ? Number(text) : HIGHEST + 1
  return value <= HIGHEST ? value : undefined
}
