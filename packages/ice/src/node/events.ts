import type { CandidatePair } from '../candidate-pair.ts'

/** W3C RTCIceCandidateInit: what signaling carries, and a browser's `addIceCandidate()` takes. */
export interface IceCandidateInit {
  /** `candidate:…`; an empty string ends the candidates, like `null` in place of the whole. */
  readonly candidate?: string
  readonly sdpMid?: string | null
  readonly sdpMLineIndex?: number | null
  readonly usernameFragment?: string | null
}

/** A new local candidate for signaling; `null` is the last one. */
export class IceCandidateEvent extends Event {
  readonly candidate: IceCandidateInit | null

  constructor(candidate: IceCandidateInit | null) {
    super('icecandidate')
    this.candidate = candidate
  }
}

/** Local candidates that were signalled and are gone: libwebrtc's `OnIceCandidatesRemoved`. Browsers have no such event. */
export class IceCandidatesRemovedEvent extends Event {
  readonly candidates: readonly IceCandidateInit[]

  constructor(candidates: readonly IceCandidateInit[]) {
    super('icecandidatesremoved')
    this.candidates = candidates
  }
}

/** W3C RTCPeerConnectionIceErrorEvent. */
export class IceCandidateErrorEvent extends Event {
  /** Local address and port that were used, unless hidden or none. */
  readonly address: string | null
  readonly port: number | null
  /** The server, as configured. */
  readonly url: string
  /** A STUN error code, or 701: the server was not reached. */
  readonly errorCode: number
  readonly errorText: string

  constructor(init: Pick<IceCandidateErrorEvent, 'address' | 'port' | 'url' | 'errorCode' | 'errorText'>) {
    super('icecandidateerror')
    this.address = init.address
    this.port = init.port
    this.url = init.url
    this.errorCode = init.errorCode
    this.errorText = init.errorText
  }
}

/** Data takes another path from now on. */
export class SelectedCandidatePairChangeEvent extends Event {
  readonly pair: CandidatePair
  /** Why, in words. */
  readonly reason: string

  constructor(pair: CandidatePair, reason: string) {
    super('selectedcandidatepairchange')
    this.pair = pair
    this.reason = reason
  }
}

export interface IceTransportEventMap {
  icecandidate: IceCandidateEvent
  icecandidatesremoved: IceCandidatesRemovedEvent
  icecandidateerror: IceCandidateErrorEvent
  statechange: Event
  gatheringstatechange: Event
  selectedcandidatepairchange: SelectedCandidatePairChangeEvent
}
