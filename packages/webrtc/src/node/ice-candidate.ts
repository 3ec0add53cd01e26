import { type Candidate, formatCandidate, parseCandidate } from '@floe/ice'
import { defineInterface, dictionary, wrapAround } from './webidl.ts'

/** W3C RTCIceCandidate, webrtc-pc §4.8.1: a candidate line with its parts taken out. */
export class RTCIceCandidate {
  readonly candidate: string
  readonly sdpMid: string | null
  readonly sdpMLineIndex: number | null
  readonly usernameFragment: string | null
  readonly foundation: string | null
  readonly component: 'rtp' | 'rtcp' | null
  readonly priority: number | null
  readonly address: string | null
  readonly protocol: 'udp' | 'tcp' | null
  readonly port: number | null
  readonly type: Candidate['type'] | null
  readonly tcpType: 'active' | 'passive' | 'so' | null
  readonly relatedAddress: string | null
  readonly relatedPort: number | null
  /** Known of local candidates only: how the relay was reached. */
  readonly relayProtocol: 'udp' | 'tcp' | 'tls' | null
  /** Known of local candidates only: the server that it was learnt from. */
  readonly url: string | null

  /**
   * Throws `TypeError` when neither `sdpMid` nor `sdpMLineIndex` is given, as W3C has it. `originOf` is ours alone: what is
   * known of a local candidate and not in its line.
   */
  constructor(init: RTCIceCandidateInit = {}, originOf?: (line: Candidate) => Candidate | undefined) {
    const { candidate = '', sdpMid, sdpMLineIndex, usernameFragment } = dictionary(init, 'RTCIceCandidateInit')
    this.sdpMid = isNothing(sdpMid) ? null : String(sdpMid)
    this.sdpMLineIndex = isNothing(sdpMLineIndex) ? null : wrapAround(sdpMLineIndex, 16)
    if (this.sdpMid === null && this.sdpMLineIndex === null) {
      throw new TypeError('An RTCIceCandidate needs an sdpMid or an sdpMLineIndex')
    }
    const parsed = parseCandidate(String(candidate))
    const origin = parsed && originOf?.(parsed)
    this.candidate = fullLine(String(candidate), parsed, origin)
    this.url = origin?.url ?? null
    this.relayProtocol = origin?.relayProtocol ?? null
    this.usernameFragment = isNothing(usernameFragment) ? (parsed?.usernameFragment ?? null) : String(usernameFragment)
    this.foundation = parsed?.foundation ?? null
    this.component = parsed ? (parsed.component === 2 ? 'rtcp' : 'rtp') : null
    this.priority = parsed?.priority ?? null
    this.address = parsed?.address.ip ?? null
    this.protocol = parsed?.protocol ?? null
    this.port = parsed?.address.port ?? null
    this.type = parsed?.type ?? null
    this.tcpType = parsed?.tcpType ?? null
    this.relatedAddress = parsed?.relatedAddress?.ip ?? null
    this.relatedPort = parsed?.relatedAddress?.port ?? null
  }

  /** What signalling carries. */
  toJSON(): RTCIceCandidateInit {
    const { candidate, sdpMid, sdpMLineIndex, usernameFragment } = this
    return { candidate, sdpMid, sdpMLineIndex, usernameFragment }
  }
}

defineInterface(RTCIceCandidate)

/**
 * A line of a local candidate with the extensions of RFC 8839 §5.1, which werift leaves out. `origin`: what is known of the
 * candidate that the line, read as `parsed`, is about.
 */
export function fullLine(line: string, parsed: Candidate | undefined, origin: Candidate | undefined): string {
  return origin && origin.usernameFragment === parsed?.usernameFragment ? formatCandidate(origin) : line
}

function isNothing(value: unknown): value is null | undefined {
  return value === undefined || value === null
}
