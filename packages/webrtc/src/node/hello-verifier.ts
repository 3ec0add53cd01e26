import { randomBytes, timingSafeEqual } from 'node:crypto'
import { formatHandshakeRecord, type HandshakeFragment, HandshakeType } from './dtls-record.ts'
import { FragmentAssembler, type HandshakeMessage } from './handshake-inbox.ts'

const COOKIE_BYTES = 20
/** A client sends its hello as message 0, and once more, with the cookie, as message 1: RFC 6347 §4.2.2. */
const LAST_HELLO_SEQ = 1
/** Version and random. */
const SESSION_ID_AT = 34

/** A ClientHello whose sender has proved that it gets what is sent to it. */
export interface VerifiedHello {
  readonly message: HandshakeMessage
  /** The same without its cookie, as it was sent the first time. */
  readonly first: HandshakeMessage
}

/**
 * The cookie exchange of RFC 6347 §4.2.1, for a server: whoever cannot read what we answer, because its address is
 * forged, changes nothing here, however many hellos it sends. werift takes the first hello that it sees for the
 * client's, and no other ever after.
 *
 * There is one cookie, since there is one address that may have it: the peer's. So the real client can use what it gets
 * in answer to a hello that someone else sent in its name.
 */
export class HelloVerifier {
  readonly #cookie = randomBytes(COOKIE_BYTES)
  readonly #assembler = new FragmentAssembler()

  /** A hello that is proved; else the record to answer it with; else nothing: a part, or no hello. */
  examine(fragment: HandshakeFragment, recordNumber: number): VerifiedHello | Buffer | undefined {
    if (fragment.messageSeq > LAST_HELLO_SEQ) return undefined
    this.#assembler.add(fragment, true)
    const message = this.#assembler.take(fragment.messageSeq)
    const hello = message && parseHello(message.body)
    if (!hello) return undefined
    if (hello.cookie.length === COOKIE_BYTES && timingSafeEqual(hello.cookie, this.#cookie)) {
      return { message, first: { type: message.type, messageSeq: 0, body: hello.withoutCookie } }
    }
    return helloVerifyRequest(this.#cookie, recordNumber)
  }
}

interface Hello {
  readonly cookie: Buffer
  readonly withoutCookie: Buffer
}

/** RFC 6347 §4.2.1: version, random, session id, cookie, cipher suites, compression methods, extensions. */
function parseHello(body: Buffer): Hello | undefined {
  if (body.length <= SESSION_ID_AT) return undefined
  const cookieAt = SESSION_ID_AT + 1 + body[SESSION_ID_AT]!
  const suitesAt = cookieAt + 1 + (body[cookieAt] ?? 0)
  if (suitesAt + 2 > body.length) return undefined
  const compressionAt = suitesAt + 2 + body.readUInt16BE(suitesAt)
  const extensionsAt = compressionAt + 1 + (body[compressionAt] ?? 0)
  if (extensionsAt > body.length || compressionAt >= body.length) return undefined
  return {
    cookie: body.subarray(cookieAt + 1, suitesAt),
    withoutCookie: Buffer.concat([body.subarray(0, cookieAt), Buffer.from([0]), body.subarray(suitesAt)]),
  }
}

/** In the name of DTLS 1.0, whatever will be spoken; under the number of the hello that it answers. */
function helloVerifyRequest(cookie: Buffer, recordNumber: number): Buffer {
  const body = Buffer.concat([Buffer.from([0xfe, 0xff, cookie.length]), cookie])
  const record = formatHandshakeRecord({ type: HandshakeType.helloVerifyRequest, messageSeq: 0, body })
  record.writeUIntBE(recordNumber, 5, 6)
  return record
}
