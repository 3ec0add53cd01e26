/** A page that uses the browser bundles of @floe/signaling and @floe/webrtc as an application would. */
import { RoomPeer } from '../../peer/room-peer.ts'

declare global {
  interface Window {
    roomPeer: RoomPeer
  }
}

window.roomPeer = new RoomPeer()
