import { RTCDataChannel } from './data-channel.ts'
import { defineInterface } from './webidl.ts'

/** W3C RTCDataChannelEvent, webrtc-pc §6.3. */
export class RTCDataChannelEvent extends Event {
  readonly channel: RTCDataChannel

  constructor(type: string, init: { channel: RTCDataChannel }) {
    super(type)
    if (!(init?.channel instanceof RTCDataChannel)) throw new TypeError('An RTCDataChannelEvent has an RTCDataChannel')
    this.channel = init.channel
  }
}

defineInterface(RTCDataChannelEvent)
