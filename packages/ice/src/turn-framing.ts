import { type StreamFailure, TurnStream } from '@floe/turn'
import type { DecodedFrames, FrameDecoder, Framing } from './tcp.ts'

/** RFC 8656 §12.5: STUN messages and ChannelData tell their own length, and the allocation has padded the latter. */
export const turnFraming: Framing = {
  encode: (message) => message,
  decoder: () => new TurnDecoder(),
}

class TurnDecoder implements FrameDecoder {
  readonly #stream = new TurnStream()

  push(chunk: Uint8Array): DecodedFrames {
    const frames = this.#stream.push(chunk)
    const { failure } = this.#stream
    return failure === undefined ? { frames } : { frames, error: REASONS[failure] }
  }
}

const REASONS: Readonly<Record<StreamFailure, string>> = {
  'not-turn': 'which is neither STUN nor ChannelData: is this the port of a TURN server?',
  'bad-length': 'that looks like STUN with a length that STUN does not have',
  'wrong-cookie': 'that looks like STUN without its magic cookie: is this the port of a TURN server?',
}
