/** A peer in Node: LabPeers over @floe/webrtc, and the decision logs of their ICE transports. */
import { IceTransport } from '@floe/ice/node'
import { RTCPeerConnection } from '@floe/webrtc'
import type { TestPeerOptions } from '../../peer/test-peer.ts'
import { LabPeer } from './lab-peer.ts'
import { emit, serve } from './serve.ts'

/** One decision, with its time since the epoch in milliseconds. */
export interface Decision {
  readonly at: number
  readonly text: string
}

let peer: LabPeer | undefined

const transports = watchTransports()

serve({
  make(options: TestPeerOptions) {
    peer = new LabPeer(RTCPeerConnection as never, options, (signal) => emit(signal))
  },
  call(method: string, args: unknown[]) {
    return (peer as unknown as Record<string, (...args: unknown[]) => unknown>)[method]!(...args)
  },
  log(): Decision[] {
    return transports.flatMap(({ agentLog }) =>
      agentLog.map(({ now, event, detail, reason }) => ({
        at: performance.timeOrigin + now,
        text: `${event}: ${detail}${reason ? ` (${reason})` : ''}`,
      })),
    )
  },
})

/** RTCPeerConnection keeps its ICE transports to itself. */
function watchTransports(): IceTransport[] {
  const seen: IceTransport[] = []
  const { gather } = IceTransport.prototype
  IceTransport.prototype.gather = function (this: IceTransport) {
    if (!seen.includes(this)) seen.push(this)
    return gather.call(this)
  }
  return seen
}
