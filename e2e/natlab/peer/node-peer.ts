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

/** A transport's log keeps the latest decisions alone; of a long session every move is kept. */
const moves: Decision[] = []
const transports = watchTransports()

serve({
  make(options: TestPeerOptions) {
    peer = new LabPeer(RTCPeerConnection as never, options, (signal) => emit(signal))
  },
  call(method: string, args: unknown[]) {
    return (peer as unknown as Record<string, (...args: unknown[]) => unknown>)[method]!(...args)
  },
  log(): Decision[] {
    const latest = transports.flatMap(({ agentLog }) =>
      agentLog.map(({ now, event, detail, reason }) => ({
        at: performance.timeOrigin + now,
        text: `${event}: ${detail}${reason ? ` (${reason})` : ''}`,
      })),
    )
    const begin = latest[0]?.at ?? Number.POSITIVE_INFINITY
    return [...moves.filter(({ at }) => at < begin), ...latest]
  },
})

/** RTCPeerConnection keeps its ICE transports to itself. */
function watchTransports(): IceTransport[] {
  const seen: IceTransport[] = []
  const { gather } = IceTransport.prototype
  IceTransport.prototype.gather = function (this: IceTransport) {
    if (!seen.includes(this)) {
      seen.push(this)
      this.addEventListener('selectedcandidatepairchange', ({ pair, reason }) =>
        moves.push({ at: performance.timeOrigin + performance.now(), text: `selected: ${pair.id} (${reason})` }),
      )
    }
    return gather.call(this)
  }
  return seen
}
