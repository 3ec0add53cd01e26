import type { RelayLimits } from './relay.ts'

/** What one server, room, address and connection may use. Everything that comes from the network is bounded by one of these. */
export interface SignalingLimits extends RelayLimits {
  /** Connections to the server, joined or not. */
  readonly connections: number
  /** New connections of the server, in the long run; half of it at once. Others wait a while, addresses in turn. */
  readonly connectionsPerSecond: number
  /** Connections of one address (IPv6: of one /64), joined or not. Offices and phone networks share one. */
  readonly connectionsPerAddress: number
  /** New connections of one address: in the long run, and at once. */
  readonly connectionsPerSecondPerAddress: number
  readonly connectionBurstPerAddress: number
  readonly rooms: number
  readonly peersPerRoom: number
  /** Bytes of one packet. A bigger one ends its connection. */
  readonly messageSize: number
  /** Packets of one connection: in the long run, and at once. Four times `messageBurst` of refused ones end it. */
  readonly messagesPerSecond: number
  readonly messageBurst: number
  /** Packets of all connections of one address, those included that are not well-formed. Refused as those of a connection. */
  readonly messagesPerSecondPerAddress: number
  readonly messageBurstPerAddress: number
  /** What waits for the acknowledgement of one peer: events, and the size of their JSON. */
  readonly heldMessages: number
  readonly heldSize: number
}

export const DEFAULT_LIMITS: SignalingLimits = {
  connections: 10_000,
  connectionsPerSecond: 250, // a quarter of a processor's time where rooms are small; in a flood a fourth of them is let in
  connectionsPerAddress: 1_000,
  connectionsPerSecondPerAddress: 50,
  connectionBurstPerAddress: 500, // an office whose network comes back
  rooms: 10_000, // as many as connections, so that nobody can use them up with fewer
  peersPerRoom: 64,
  messageSize: 131_072, // the longest description that the schema allows, with room for its JSON escapes
  messagesPerSecond: 100,
  messageBurst: 1_000, // one peer that connects to a full room: 63 × (description + a dozen candidates)
  messagesPerSecondPerAddress: 1_000,
  messageBurstPerAddress: 10_000,
  heldMessages: 1_024,
  heldSize: 1_048_576,
  relayBytesPerSecond: 1_048_576, // a conversation while ICE looks for a path, not the files of everybody
  roomRelayBytesPerSecond: 4_194_304,
}
