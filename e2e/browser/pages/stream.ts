/** A page that is one end of a long stream. */
import { StreamPeer } from '../../peer/stream-peer.ts'

declare global {
  interface Window {
    streamPeer: StreamPeer
  }
}

window.streamPeer = new StreamPeer()
