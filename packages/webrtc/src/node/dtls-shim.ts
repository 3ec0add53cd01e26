import {
  ContentType,
  formatHandshakeRecord,
  type HandshakeFragment,
  HandshakeType,
  isSingleRecord,
  parseHandshakes,
  parseRecords,
  sequenceNumber,
} from './dtls-record.ts'
import { HandshakeInbox, type HandshakeMessage } from './handshake-inbox.ts'
import { HelloVerifier } from './hello-verifier.ts'
import { ReplayWindow } from './replay-window.ts'

/** Fits the 1280 bytes that IPv6 guarantees (RFC 8200 §5), less headers of IPv6, UDP and a TURN ChannelData message. */
const MAX_DATAGRAM_BYTES = 1200
/** RFC 6347 §4.2.4.1 asks for 1 s; browsers start at 50 ms, since ICE has just shown that the path works. */
const FIRST_REPEAT_MS = 60
/** RFC 6347 doubles. A flight is a datagram or two, and what waits for it is a person. */
const REPEAT_GROWTH = 1.5
const LAST_REPEAT_MS = 1000
const MAX_REPEATS = 40
/** The last flight has no answer but application data: after this many repeats the peer has it, or is gone. */
const MAX_REPEATS_OF_LAST_FLIGHT = 6
/** A burst of repeated messages from the peer asks once, not once per record. */
const ANSWER_REPETITION_EVERY_MS = 20
/** Of one flight. Anyone can forge a repetition, which is shorter than its answer; the flight's own timer has no such limit. */
const MAX_ANSWERS_TO_REPETITIONS = 10
/** The SCTP handshake: INIT, COOKIE ECHO, their answers, first acknowledgements. werift's SCTP would wait 3 s to repeat one. */
const REPEATED_APPLICATION_RECORDS = 10
const REPEAT_APPLICATION_AFTER_MS = [40, 150]
/** Encrypted handshake records: one Finished, a few times over, and what fits a datagram. */
const MAX_EARLY_ENCRYPTED = 4
const MAX_ENCRYPTED_BYTES = 1500
const MAX_ENCRYPTED_HANDSHAKES = 32

export interface DtlsShimOptions {
  /** Below: one datagram for the wire. */
  send(datagram: Buffer): void
  /** Above: one record. */
  deliver(record: Buffer): void
  /** Of the path in use, in milliseconds. */
  roundTripTime?(): number | undefined
}

/** Takes records of application data past the stack above. */
export interface ApplicationRecords {
  /** What is in a record; `undefined` unless the peer has sealed it. */
  open(record: Buffer): Buffer | undefined
  deliver(data: Buffer): void
}

/**
 * Sits below a DTLS 1.2 stack that takes a path without loss, reordering and duplication for granted, and makes the
 * path look like one. The stack itself stays untouched, and so do the bytes of every message.
 *
 * Out: the records of a flight leave together in one datagram, so that they arrive together or not at all; a flight is
 * repeated from 60 ms on until the next one; the first application records are sent three times.
 * In: every plaintext handshake message that fits the role goes up whole, in order and once, hellos once their sender
 * has proved its address; a repeated one means that the peer missed our flight and is answered with it; encrypted ones
 * wait for the keys; plaintext after the handshake is dropped, and plaintext alerts always are, since anyone can forge
 * them (RFC 6347 §4.1.2.7). Application data goes up once. What is kept of a handshake that never ends is bounded.
 */
export class DtlsShim {
  readonly #options: DtlsShimOptions
  readonly #inbox = new HandshakeInbox()
  readonly #replayWindow = new ReplayWindow()
  /** The application record that the stack above is decrypting. */
  #decrypting = -1
  #pending: Buffer[] = []
  #flight: Flight = { records: [], datagrams: [] }
  #earlyEncrypted: Buffer[] = []
  readonly #helloVerifier = new HelloVerifier()
  #isHelloVerified = false
  /** The next plaintext record's, as server. */
  #recordNumber = 0
  #role: 'client' | 'server' = 'client'
  /** Whether the stack above has what it needs to decrypt: as client always, as server from CertificateVerify on. */
  #hasKeys = true
  #encryptedHandshakes = 0
  #established = false
  #application: ApplicationRecords | undefined
  #closed = false
  #heardApplicationData = false
  #applicationRecords = 0
  #answeredRepetitionAt = -Infinity
  #answeredRepetitions = 0
  #flightTimer: NodeJS.Timeout | undefined
  readonly #repeatTimers = new Set<NodeJS.Timeout>()

  constructor(options: DtlsShimOptions) {
    this.#options = options
  }

  /** Before anything is received. */
  start(role: 'client' | 'server'): void {
    this.#role = role
    this.#hasKeys = role === 'client'
  }

  /** From the stack above: one record. The buffer is ours from now on. */
  send(record: Buffer): void {
    // The verifier has sent its own HelloVerifyRequest.
    if (this.#closed || isHelloVerifyRequest(record)) return
    const type = record[0]
    if (this.#role === 'server') this.#renumber(record)
    if (type === ContentType.handshake || type === ContentType.changeCipherSpec) return this.#collect(record)
    // Application data that overtakes the Finished would arrive before the peer can decrypt it.
    this.#flush()
    if (type === ContentType.applicationData) this.#repeatEarly(record)
    this.#options.send(record)
  }

  /** From the wire: one datagram. Handshake bytes are copied, so the buffer may be reused afterwards. */
  receive(datagram: Buffer): void {
    if (this.#closed) return
    if (this.#established && datagram[0] === ContentType.applicationData && isSingleRecord(datagram)) {
      return this.#deliverApplicationData(datagram)
    }
    for (const record of parseRecords(datagram)) {
      if (record.epoch === 0) this.#receivePlaintext(record.type, record.fragment, sequenceNumber(record.bytes))
      else this.#receiveEncrypted(record.type, record.bytes, record.fragment)
    }
  }

  /** From the stack above, in the course of a delivery: that application record is authentic. */
  accept(): void {
    if (this.#decrypting >= 0) this.#replayWindow.accept(this.#decrypting)
    this.#heardApplicationData = true
  }

  /** The handshake is over and the peer is authenticated. */
  establish(application?: ApplicationRecords): void {
    this.#established = true
    this.#application = application
    this.#earlyEncrypted = []
    this.#inbox.clear()
    if (this.#role === 'client') clearTimeout(this.#flightTimer)
  }

  close(): void {
    this.#closed = true
    this.#earlyEncrypted = []
    this.#inbox.clear()
    clearTimeout(this.#flightTimer)
    for (const timer of this.#repeatTimers) clearTimeout(timer)
    this.#repeatTimers.clear()
  }

  /**
   * RFC 6347 §4.2.1: the first record after the cookie exchange has the number of the hello that ended it, so that none
   * has the number of an earlier answer. A peer drops what has a number that it knows.
   */
  #renumber(record: Buffer): void {
    if (record.readUInt16BE(3) === 0 && !this.#isKnown(record)) record.writeUIntBE(this.#recordNumber++, 5, 6)
  }

  /** The stack's own, slower retransmission: the same but for the number. */
  #isKnown(record: Buffer): boolean {
    return this.#flight.records.some((sent) => sent[0] === record[0] && sent.subarray(11).equals(record.subarray(11)))
  }

  #collect(record: Buffer): void {
    if (this.#isKnown(record)) return
    if (this.#pending.length === 0) queueMicrotask(() => this.#flush())
    this.#pending.push(record)
  }

  #flush(): void {
    if (this.#pending.length === 0 || this.#closed) return
    this.#flight = { records: this.#pending, datagrams: coalesce(this.#pending) }
    this.#pending = []
    this.#answeredRepetitions = 0
    this.#sendFlight()
    clearTimeout(this.#flightTimer)
    this.#scheduleRepeat(0)
  }

  #scheduleRepeat(repeats: number): void {
    const first = Math.max(FIRST_REPEAT_MS, 1.5 * (this.#options.roundTripTime?.() ?? 0))
    const delay = Math.min(first * REPEAT_GROWTH ** repeats, Math.max(first, LAST_REPEAT_MS))
    this.#flightTimer = setTimeout(() => {
      const limit = this.#established ? MAX_REPEATS_OF_LAST_FLIGHT : MAX_REPEATS
      if (repeats >= limit || (this.#established && this.#heardApplicationData)) return
      this.#sendFlight()
      this.#scheduleRepeat(repeats + 1)
    }, delay)
    this.#flightTimer.unref()
  }

  #sendFlight(): void {
    for (const datagram of this.#flight.datagrams) this.#options.send(datagram)
  }

  /** Who has sent application data has our last flight. */
  #answerRepetition(): void {
    if (this.#heardApplicationData || this.#answeredRepetitions >= MAX_ANSWERS_TO_REPETITIONS) return
    const now = performance.now()
    if (now - this.#answeredRepetitionAt < ANSWER_REPETITION_EVERY_MS) return
    this.#answeredRepetitionAt = now
    this.#answeredRepetitions++
    this.#sendFlight()
  }

  #repeatEarly(record: Buffer): void {
    if (this.#applicationRecords >= REPEATED_APPLICATION_RECORDS) return
    this.#applicationRecords++
    for (const delay of REPEAT_APPLICATION_AFTER_MS) {
      const timer = setTimeout(() => {
        this.#repeatTimers.delete(timer)
        this.#options.send(record)
      }, delay)
      timer.unref()
      this.#repeatTimers.add(timer)
    }
  }

  #receivePlaintext(type: number, fragment: Buffer, recordNumber: number): void {
    // The last flight is the server's: from there on a client has nothing to repeat.
    if (type !== ContentType.handshake || (this.#established && this.#role === 'client')) return
    for (const handshake of parseHandshakes(fragment)) {
      if (!EXPECTED[this.#role].has(handshake.type)) continue
      if (handshake.type === HandshakeType.clientHello) this.#receiveHello(handshake, recordNumber)
      else if (this.#role === 'client' || this.#isHelloVerified) this.#receiveHandshake(handshake)
    }
  }

  #receiveHandshake(handshake: HandshakeFragment): void {
    const messages = this.#inbox.add(handshake)
    if (messages === 'repeated') this.#answerRepetition()
    else if (!this.#established) for (const message of messages) this.#deliverHandshake(message)
  }

  #receiveHello(handshake: HandshakeFragment, recordNumber: number): void {
    const verdict = this.#helloVerifier.examine(handshake, recordNumber)
    if (!verdict) return
    if (Buffer.isBuffer(verdict)) {
      // A late copy of the first hello asks for nothing any more.
      if (!this.#isHelloVerified) this.#options.send(verdict)
    } else if (this.#isHelloVerified) {
      this.#answerRepetition()
    } else {
      this.#isHelloVerified = true
      this.#recordNumber = recordNumber
      this.#inbox.skipTo(verdict.message.messageSeq + 1)
      this.#deliverHandshake(verdict.first)
      this.#deliverHandshake(verdict.message)
    }
  }

  #deliverHandshake(message: HandshakeMessage): void {
    this.#options.deliver(formatHandshakeRecord(message))
    if (message.type !== HandshakeType.certificateVerify) return
    this.#hasKeys = true
    for (const record of this.#earlyEncrypted.splice(0)) this.#deliverEncrypted(record)
  }

  #deliverApplicationData(record: Buffer): void {
    const number = sequenceNumber(record)
    if (!this.#replayWindow.isFresh(number)) return
    this.#decrypting = number
    if (this.#application) this.#openApplicationData(record, this.#application)
    else this.#options.deliver(record)
    this.#decrypting = -1
  }

  #openApplicationData(record: Buffer, application: ApplicationRecords): void {
    const data = application.open(record)
    if (!data) return
    this.accept()
    application.deliver(data)
  }

  #receiveEncrypted(type: number, record: Buffer, fragment: Buffer): void {
    if (type === ContentType.applicationData) return this.#deliverApplicationData(record)
    if (type === ContentType.alert && this.#established && !readsAsPlaintextAlert(fragment)) {
      return this.#options.deliver(record)
    }
    if (type !== ContentType.handshake) return
    if (this.#established) {
      // The peer has not seen our Finished and repeats its own.
      if (this.#role === 'server') this.#answerRepetition()
    } else if (record.length > MAX_ENCRYPTED_BYTES) {
      return
    } else if (this.#hasKeys) {
      this.#deliverEncrypted(Buffer.from(record))
    } else if (this.#earlyEncrypted.length < MAX_EARLY_ENCRYPTED) {
      this.#earlyEncrypted.push(Buffer.from(record))
    }
  }

  /** The stack above keeps parts of messages: what it could be made to keep ends here. */
  #deliverEncrypted(record: Buffer): void {
    if (this.#encryptedHandshakes++ < MAX_ENCRYPTED_HANDSHAKES) this.#options.deliver(record)
  }
}

const { clientHello, serverHello, helloVerifyRequest, certificate, serverKeyExchange } = HandshakeType
const { certificateRequest, serverHelloDone, clientKeyExchange, certificateVerify } = HandshakeType

/** What comes in plaintext from the other role, RFC 5246 §7.3; the rest is noise, and not worth failing for. */
const EXPECTED: Record<'client' | 'server', ReadonlySet<number>> = {
  client: new Set([
    helloVerifyRequest,
    serverHello,
    certificate,
    serverKeyExchange,
    certificateRequest,
    serverHelloDone,
  ]),
  server: new Set([clientHello, certificate, clientKeyExchange, certificateVerify]),
}

interface Flight {
  readonly records: readonly Buffer[]
  readonly datagrams: readonly Buffer[]
}

function coalesce(records: readonly Buffer[]): Buffer[] {
  const groups: Buffer[][] = []
  let size = Infinity
  for (const record of records) {
    if (size + record.length > MAX_DATAGRAM_BYTES) {
      groups.push([])
      size = 0
    }
    groups.at(-1)!.push(record)
    size += record.length
  }
  return groups.map((group) => Buffer.concat(group))
}

function isHelloVerifyRequest(record: Buffer): boolean {
  return (
    record[0] === ContentType.handshake &&
    record.readUInt16BE(3) === 0 &&
    record[13] === HandshakeType.helloVerifyRequest
  )
}

/** RFC 5246 §7.2, RFC 6066 §9, RFC 7301 §3.2. */
const ALERT_CODES = new Set([
  0, 10, 20, 21, 22, 30, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 60, 70, 71, 80, 86, 90, 100, 109, 110, 111,
  112, 113, 114, 115, 116, 120,
])

/**
 * werift takes an encrypted alert for a plaintext one, unauthenticated, when its second byte happens to be the code of
 * an alert: such a record is dropped. That byte belongs to the explicit nonce of AES-GCM, which in the stacks of
 * browsers starts with the epoch, 1.
 */
function readsAsPlaintextAlert(fragment: Buffer): boolean {
  return fragment.length < 2 || ALERT_CODES.has(fragment[1]!)
}
