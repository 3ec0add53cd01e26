/** A page that holds TestPeers over the browser's own RTCPeerConnection, for the harness to call. */
import { type Signal, TestPeer, type TestPeerOptions } from '../../peer/test-peer.ts'

declare global {
  interface Window {
    /** Exposed by the harness. */
    emitSignal(id: string, signal: Signal): void
    makePeer(id: string, options: TestPeerOptions): void
    callPeer(id: string, method: string, args: unknown[]): unknown
  }
}

const peers = new Map<string, TestPeer>()

window.makePeer = (id, options) => {
  peers.set(id, new TestPeer(RTCPeerConnection, options, (signal) => window.emitSignal(id, signal)))
}

window.callPeer = (id, method, args) => {
  const peer = peers.get(id) as unknown as Record<string, (...args: unknown[]) => unknown>
  return peer[method]!(...args)
}
