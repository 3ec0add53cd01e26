import { RELAY_REASONS } from '@floe/webrtc'
import type { End, Pair } from './stats.ts'

/** A station on the way from this browser to its peer. */
export interface Hop {
  readonly kind: 'browser' | 'node' | 'nat' | 'relay' | 'unknown'
  readonly label: string
  /** Candidate type, where there is one. */
  readonly type?: End['type']
  /** The address by which this station is known. */
  readonly address?: string
}

export type PeerKind = 'node' | 'browser' | undefined

/** The stations of a pair; of no pair yet, the two ends with the unknown between them. */
export function hopsOf(pair: Pair | undefined, peer: PeerKind): Hop[] {
  const me: Hop = { kind: 'browser', label: 'This browser' }
  const them: Hop =
    peer === 'node'
      ? { kind: 'node', label: 'Node peer' }
      : { kind: 'browser', label: peer ? 'Other browser' : 'A peer' }
  if (!pair) return [me, { kind: 'unknown', label: 'No path yet' }, them]
  return [...withMiddle(me, pair.local, 'Your'), ...withMiddle(them, pair.remote, 'Their').reverse()]
}

/** The path as a sentence, for those who do not see the drawing. */
export function describePath(pair: Pair | undefined, peer: PeerKind): string {
  const stations = hopsOf(pair, peer).map(({ label, type, address }) =>
    address ? `${label} (${type} ${address})` : label,
  )
  return `${stations.join(', ')}${pair ? `, over ${pair.local.protocol}` : ''}`
}

/** What lies between the two ends, for those who do not know the words of ICE. */
export function explainPath({ local, remote, whyRelayed }: Pair): string {
  const why = whyRelayed ? ` Why: ${RELAY_REASONS[whyRelayed]}.` : ''
  const [ours, theirs] = [local.type === 'relay', remote.type === 'relay']
  const over = local.relayProtocol ? ` over ${local.relayProtocol.toUpperCase()}` : ''
  if (ours && theirs) {
    return `Relayed: this browser reaches a relay server${over}, which passes everything on to the relay of the other side. Neither can read any of it.${why}`
  }
  if (ours) {
    return `Relayed: this browser reaches a relay server${over}, which passes everything on. It cannot read any of it.${why}`
  }
  if (theirs)
    return `Relayed: the other side uses a relay server, which passes everything on. It cannot read any of it.${why}`
  return 'Direct: what you send goes straight to the other side, through no server.'
}

/**
 * A host candidate is the end itself; the others are seen through, or relayed by, something in between. A remote
 * peer-reflexive address is drawn as the end: a NAT may be there, or the peer's candidate just took longer than its check.
 */
function withMiddle(end: Hop, { type, address }: End, whose: 'Your' | 'Their'): Hop[] {
  if (type === 'relay') return [end, { kind: 'relay', label: `${whose} relay`, type, address }]
  if (type === 'srflx' || (type === 'prflx' && whose === 'Your')) {
    return [end, { kind: 'nat', label: `${whose} NAT`, type, address }]
  }
  return [{ ...end, type, address }]
}
