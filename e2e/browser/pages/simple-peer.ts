/** A page with simple-peer as it comes from npm, over the browser's own WebRTC. */
import type SimplePeer from 'simple-peer'
import Peer from 'simple-peer/simplepeer.min.js'

declare global {
  interface Window {
    /** Exposed by the harness. */
    emitSignal(signal: unknown): void
    emitEvent(event: string): void
    peer: SimplePeer.Instance
    start(initiator: boolean, trickle: boolean): void
    signal(data: SimplePeer.SignalData): void
  }
}

window.start = (initiator, trickle) => {
  const peer = new (Peer as unknown as SimplePeer.SimplePeer)({ initiator, trickle, config: { iceServers: [] } })
  window.peer = peer
  peer.on('signal', (signal) => window.emitSignal(signal))
  for (const event of ['connect', 'close']) peer.on(event, () => window.emitEvent(event))
  peer.on('error', ({ message }) => window.emitEvent(`error ${message}`))
  // Everything comes back, no faster than it leaves.
  peer.pipe(peer)
}

window.signal = (data) => window.peer.signal(data)
