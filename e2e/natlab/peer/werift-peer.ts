/** The same peer over werift with its own ICE: what floe is measured against. */
import { RTCPeerConnection } from 'werift'
import type { TestPeerOptions } from '../../peer/test-peer.ts'
import { LabPeer } from './lab-peer.ts'
import { emit, serve } from './serve.ts'

/** Gives candidates as W3C's objects, with a toJSON() of their own. */
class Connection extends RTCPeerConnection {
  override emit(type: string, ...args: unknown[]): boolean {
    const [event] = args as [{ candidate?: object } | undefined]
    if (type !== 'icecandidate' || !event?.candidate) return super.emit(type, ...args)
    const { candidate } = event
    return super.emit(type, { ...event, candidate: { toJSON: () => candidate } })
  }
}

let peer: LabPeer | undefined

serve({
  make(options: TestPeerOptions) {
    peer = new LabPeer(Connection as never, options, (signal) => emit(signal))
  },
  call(method: string, args: unknown[]) {
    return (peer as unknown as Record<string, (...args: unknown[]) => unknown>)[method]!(...args)
  },
  log: () => [],
})
