import { DtlsClient, type DtlsSocket } from 'werift'
import { HandshakeGuard } from './dtls-guard.ts'
import { ContentType, formatAlertRecord, HandshakeType } from './dtls-record.ts'
import type { Fingerprint } from './fingerprint.ts'
import { RecordProtection } from './record-protection.ts'
import { writeKeys } from './werift-internals.ts'

/** Makes werift's DTLS socket safe before it has spoken. `fingerprints` is asked when the peer shows its certificate. */
export function adoptSocket(socket: DtlsSocket, fingerprints: () => readonly Fingerprint[]): void {
  guard(socket, fingerprints)
  numberFinishedFromZero(socket)
  if (socket instanceof DtlsClient) startAtOnce(socket)
}

/** Application data in the place of the socket's own `send` and `onData`. To be called once the handshake is over. */
export class ApplicationData {
  readonly #socket: DtlsSocket
  readonly #protection: RecordProtection

  constructor(socket: DtlsSocket) {
    const { client, server } = writeKeys(socket)
    const [local, remote] = socket instanceof DtlsClient ? [client, server] : [server, client]
    this.#socket = socket
    this.#protection = new RecordProtection(local, remote)
  }

  /** The record for the wire. werift and we count with one counter, since no number may be used twice. */
  seal(data: Uint8Array): Buffer {
    return this.#protection.seal(data, ++this.#socket.dtls.recordSequenceNumber)
  }

  /** `undefined` unless the peer has sealed it. */
  open(record: Buffer): Buffer | undefined {
    return this.#protection.open(record)
  }
}

/** Encrypted once there are keys that the peer has, RFC 5246 §7.2. What it leads to is for the caller. */
export function sendAlert(socket: DtlsSocket, level: 'warning' | 'fatal', alert: number): void {
  const content = Buffer.from([level === 'fatal' ? 2 : 1, alert])
  if (socket.dtls.epoch === 0) {
    const record = formatAlertRecord(content, ++socket.dtls.recordSequenceNumber)
    void socket.transport.send(record).catch(() => {}) // A courtesy: the peer notices without it, later.
    return
  }
  const { cipher } = socket
  const encryptPacket = cipher.encryptPacket.bind(cipher)
  // werift sends nothing but application data: the record gets its real type before it is sealed.
  cipher.encryptPacket = (packet) => {
    packet.recordLayerHeader.contentType = ContentType.alert
    return encryptPacket(packet)
  }
  void socket.send(content).catch(() => {}) // A courtesy, too.
  cipher.encryptPacket = encryptPacket
}

/** Examines every handshake message before werift sees it; an error takes werift's own way to `state` 'failed'. */
function guard(socket: DtlsSocket, fingerprints: () => readonly Fingerprint[]): void {
  const handshakeGuard = new HandshakeGuard({
    role: socket instanceof DtlsClient ? 'client' : 'server',
    fingerprints,
    localRandom: () => socket.cipher.localRandom.serialize(),
    masterSecret: () => socket.cipher.masterSecret,
    transcript: () => Buffer.concat(socket.dtls.sortedHandshakeCache.map((message) => message.serialize())),
  })
  const handle = socket.onHandleHandshakes
  socket.onHandleHandshakes = async (messages) => {
    // WebRTC knows no second handshake: whatever asks for one is not heard.
    if (handshakeGuard.passed) return
    for (const { msg_type, fragment } of messages) {
      handshakeGuard.examine(msg_type, fragment)
      if (msg_type === HandshakeType.clientHello) acceptCookie(socket, fragment)
    }
    await handle(messages)
  }
}

/** The verifier has checked the cookie that it had made; werift would compare it with one of its own. */
function acceptCookie(socket: DtlsSocket, hello: Buffer): void {
  const cookieAt = 35 + hello.readUInt8(34)
  const cookie = hello.subarray(cookieAt + 1, cookieAt + 1 + hello.readUInt8(cookieAt))
  if (cookie.length > 0) socket.dtls.cookie = Buffer.from(cookie)
}

/**
 * RFC 6347 §4.1: sequence numbers begin anew with the keys. werift gives its Finished, the first record under them, the
 * next number of the plaintext records, and then begins with 1: so that the application record which comes to that number
 * is sealed with the nonce of the Finished. With AES-GCM (RFC 5288 §3) that would give away the key of its
 * authentication, and parts of what it seals.
 */
function numberFinishedFromZero({ cipher }: DtlsSocket): void {
  const encryptPacket = cipher.encryptPacket.bind(cipher)
  cipher.encryptPacket = (packet) => {
    const header = packet.recordLayerHeader
    if (header.contentType === ContentType.handshake) header.sequenceNumber = 0
    return encryptPacket(packet)
  }
}

/** RTCDtlsTransport.start() sleeps 100 ms before it lets a client connect: this client has connected by then. */
function startAtOnce(client: DtlsClient): void {
  const connect = client.connect.bind(client)
  let connecting: Promise<void> | undefined
  client.connect = () => (connecting ??= connect())
  queueMicrotask(() => client.connect().catch((error) => client.onError.execute(error)))
}
