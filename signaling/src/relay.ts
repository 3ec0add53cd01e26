/**
 * Frames that peers send each other through the server while they have no path of their own. To the server they are
 * ciphertext. Not numbered, not kept and not repeated: what a limit or a broken connection stops is lost, and the peers
 * notice (`connect()` of `@floe/webrtc` sends it again).
 */
import * as v from 'valibot'

/** Largest frame, in bytes: one of connect(), which is 16 KiB, with what sealing adds. */
export const MAX_RELAY_FRAME = 16_512

const frame = v.pipe(
  v.instance(Uint8Array),
  v.check(({ length }) => length > 0 && length <= MAX_RELAY_FRAME, `A frame has 1 to ${MAX_RELAY_FRAME} bytes`),
)
const peer = v.pipe(v.string(), v.maxLength(256))

/** `relay`, client to server: the receiver's id and the frame. The other way: the sender's id and the frame. */
export const RelaySchema = v.tuple([peer, frame])

export interface RelayClientEvents<Refusal> {
  /**
   * The answer comes when there is room for more, which is how the server sets the pace: who has 128 KiB unanswered is to
   * wait. An error says that the frame is lost.
   */
  relay: (to: string, frame: Uint8Array, answer: (error: Refusal | null) => void) => void
}
export interface RelayServerEvents {
  relay: (from: string, frame: Uint8Array, acknowledge: () => void) => void
}
