/** The page of a browser peer: LabPeers over the browser's own RTCPeerConnection, for the harness to call. */
import { LabPeer } from './lab-peer.ts'

const peers = new Map<string, LabPeer>()

window.makePeer = (id, options) => {
  peers.set(id, new LabPeer(RTCPeerConnection, options, (signal) => window.emitSignal(id, signal)))
}

window.callPeer = (id, method, args) => {
  const peer = peers.get(id) as unknown as Record<string, (...args: unknown[]) => unknown>
  return peer[method]!(...args)
}
