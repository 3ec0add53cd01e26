import { decode } from '@floe/stun'

/** Bytes. A Binding request with all its attributes has a few hundred; one that carries a DTLS flight has 1,500. */
const MAX_REQUEST = 2048

/** RFC 8489 §5: the header alone. */
const MIN_REQUEST = 20

/**
 * The beginning of an incoming ICE-TCP connection, RFC 6544 §7.1: nobody knows whose it is before its first frame, a
 * Binding request, has named the agent. Knows no socket.
 */
export class FirstRequest {
  /** All that has come. */
  received = new Uint8Array()

  /**
   * Takes the next bytes, cut anywhere. `undefined`: more are needed. `ufrag`: the agent that is meant, which nobody has
   * authenticated. `garbage`: this is not ICE; more must not be pushed.
   */
  push(chunk: Uint8Array): { type: 'ufrag'; usernameFragment: string } | { type: 'garbage' } | undefined {
    const received = new Uint8Array(this.received.length + chunk.length)
    received.set(this.received)
    received.set(chunk, this.received.length)
    this.received = received
    if (received.length < 2) return undefined
    const length = (received[0]! << 8) | received[1]!
    if (length < MIN_REQUEST || length > MAX_REQUEST || length % 4 !== 0) return { type: 'garbage' }
    return received.length < 2 + length ? undefined : addressee(received.subarray(2, 2 + length))
  }
}

/** USERNAME is `receiver's ufrag:sender's ufrag`, RFC 8445 §7.2.2. */
function addressee(frame: Uint8Array): { type: 'ufrag'; usernameFragment: string } | { type: 'garbage' } {
  const message = decode(frame)
  const { username } = message?.attributes ?? {}
  const colon = username?.indexOf(':') ?? -1
  if (message?.method !== 'binding' || message.class !== 'request' || username === undefined || colon < 0) {
    return { type: 'garbage' }
  }
  return { type: 'ufrag', usernameFragment: username.slice(0, colon) }
}
