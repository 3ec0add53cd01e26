/** The signaling client, the same in Node and in browsers. */
export { type JoinOptions, joinRoom } from './client/join.ts'
export type { LeaveReason, Peer } from './client/peer.ts'
export type { Relay, RelayState } from './client/relay.ts'
export { PeerEvent, type Room, RoomErrorEvent, type RoomEventMap, type RoomState } from './client/room.ts'
export {
  type AgentKind,
  type IceServer,
  SignalingError,
  type SignalingErrorCode,
  type SignalingMessage,
} from './protocol.ts'
