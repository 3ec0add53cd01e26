import { defineInterface, dictionary, oneOf, usvString } from './webidl.ts'

export const SDP_TYPES = ['offer', 'pranswer', 'answer', 'rollback'] as const

/** W3C RTCSessionDescription: plain data that survives `JSON.stringify`. */
export class RTCSessionDescription {
  readonly type: RTCSdpType
  readonly sdp: string

  /** Throws TypeError when `type` is missing or none of the four. */
  constructor(init: RTCSessionDescriptionInit) {
    const { type, sdp = '' } = dictionary(init, 'RTCSessionDescriptionInit')
    this.type = oneOf(type, SDP_TYPES, 'The type of a session description')
    this.sdp = usvString(sdp)
  }

  toJSON(): { type: RTCSdpType; sdp: string } {
    return { type: this.type, sdp: this.sdp }
  }
}

defineInterface(RTCSessionDescription)
