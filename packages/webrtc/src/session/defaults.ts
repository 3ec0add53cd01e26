/** Every constant of the session layer. Times in milliseconds, sizes in bytes. */

/** Of one frame, header included: the size of message that every implementation of data channels carries (RFC 8831 §6.6). */
export const FRAME_SIZE = 16_384

/** Of the frames that we make: one SCTP packet where packets may be large (node/packet-size.ts), which 16,384 bytes would not be. */
export const SENT_FRAME_SIZE = 16_000

/** Of one message of the application. Well below the window, since a message counts as read when all of it is there. */
export const MAX_MESSAGE_SIZE = 1_048_576

/** What one end keeps for an application that does not read: never exceeded by the peer, as in QUIC (RFC 9000 §4.1). */
export const RECEIVE_WINDOW = 4_194_304

/** What a frame costs of the window beside its payload: many small frames need memory, too. */
export const FRAME_CHARGE = 64

/** What may be under way on the relay: a second of what it carries; more would only wait in somebody's memory. */
export const RELAY_WINDOW = 262_144

/** Acknowledge every so many frames … */
export const ACK_EVERY = 4
/** … or after so long. Short beside every round trip, long beside the gap between two frames of one message. */
export const ACK_DELAY = 20

/**
 * Nothing of what was sent on the direct path has been answered for so long: use the relay. W3C's 'disconnected' takes
 * several seconds in browsers; a user notices two.
 */
export const SUSPECT_AFTER = 1_000

/** Until something is sent again on the relay, which loses what it cannot carry: at first, and the bounds later. */
export const RTO = { initial: 1_000, least: 400, most: 3_000 } as const

/** So many of those in a row without an answer: nothing gets through. */
export const STALLED_AFTER = 2

/** Of the reason in a close frame, in bytes: that of a WebSocket's close frame (RFC 6455 §5.5.1). */
export const MAX_REASON_SIZE = 123
