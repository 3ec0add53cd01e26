/** W3C RTCSessionDescription: plain data that survives `JSON.stringify`. */
export class RTCSessionDescription {
  readonly type: RTCSdpType
  readonly sdp: string

  constructor(init: RTCSessionDescriptionInit) {
    this.type = init.type
    this.sdp = init.sdp ?? ''
  }

  toJSON(): { type: RTCSdpType; sdp: string } {
    return { type: this.type, sdp: this.sdp }
  }
}
