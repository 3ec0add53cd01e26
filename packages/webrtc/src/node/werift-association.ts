import { Event, type RTCSctpTransport } from 'werift'
import type { OutgoingMessage } from './data-stream.ts'
import type { Association, AssociationEvents } from './data-streams.ts'
import type { GuardedDtlsTransport } from './dtls-transport.ts'
import { PacketSize } from './packet-size.ts'
import { repairPartialReliability } from './partial-reliability.ts'
import { RTCError } from './rtc-error.ts'
import { receiveDataPacket } from './sctp-data-packets.ts'
import { inspectPacket, type SctpPacket } from './sctp-packet.ts'
import { repairReceiver } from './sctp-receiver.ts'
import { hastenSending } from './sctp-sender.ts'
import { reportStalls } from './sctp-stall.ts'
import { hastenRetransmission } from './sctp-timers.ts'
import { repairStreamReset } from './stream-reset.ts'
import { AssociationState, type SctpInternals, sctpInternals, sctpTransportInternals } from './werift-internals.ts'

/** ABORT with the cause User-Initiated Abort: RFC 9260 §3.3.7, §3.3.10.12. */
const ABORT = { type: 6, bytes: Buffer.from([6, 0, 0, 8, 0, 12, 0, 4]) }

/**
 * werift's SCTP as floe's data channels see it. werift's own data channels are left out; where its SCTP departs from the
 * RFCs it is put right, in the instance. A peer that sends nonsense costs a dropped packet.
 */
export class WeriftAssociation implements Association {
  events: AssociationEvents | undefined
  /** It is connected, or has ended. */
  readonly stateChanged = new Event<[state: 'connected' | 'closed']>()
  readonly #transport: RTCSctpTransport
  readonly #peerTakesLargePackets: () => boolean
  #sctp: SctpInternals | undefined
  #packetSize: PacketSize | undefined
  #abort: SctpPacket['abort']

  /** `peerTakesLargePackets`: it has announced that it does. */
  constructor(transport: RTCSctpTransport, peerTakesLargePackets: () => boolean) {
    this.#transport = transport
    this.#peerTakesLargePackets = peerTakesLargePackets
    sctpTransportInternals(transport).datachannelReceive = async (streamId, ppid, data) => {
      this.events?.onmessage(streamId, ppid, data)
    }
    // werift makes the association anew when the transport below it changes.
    const setDtlsTransport = transport.setDtlsTransport.bind(transport)
    transport.setDtlsTransport = (dtls) => {
      const previous = transport.sctp
      setDtlsTransport(dtls)
      if (transport.sctp !== previous) this.#adopt(sctpInternals(transport))
    }
  }

  /** Of what the peer takes in one message, in bytes. */
  get maxMessageSize(): number {
    return this.#transport.remoteMaxMessageSize || Number.POSITIVE_INFINITY
  }

  /** Streams in the direction that has fewer; null until connected. */
  get maxChannels(): number | null {
    return this.isConnected ? (this.#transport.sctp.maxChannels ?? null) : null
  }

  get isConnected(): boolean {
    return this.#sctp?.associationState === AssociationState.established
  }

  async send(streamId: number, message: OutgoingMessage): Promise<void> {
    const { ppid, data, ordered, maxRetransmits, expiresAt } = message
    this.#packetSize?.update()
    await this.#transport.sctp.send(streamId, ppid, data, {
      ordered,
      ...(maxRetransmits !== null && { maxRetransmits }),
      ...(expiresAt !== null && { expiry: expiresAt / 1000 }),
    })
  }

  hasOutstanding(streamId: number): boolean {
    const mine = (chunk: { streamId: number }) => chunk.streamId === streamId
    return !!this.#sctp && (this.#sctp.outboundQueue.some(mine) || this.#sctp.sentQueue.some(mine))
  }

  reset(streamId: number): void {
    const sctp = this.#sctp
    if (!sctp || !this.isConnected || sctp.reconfigQueue.includes(streamId)) return
    sctp.reconfigQueue.push(streamId)
    void sctp.transmitReconfigRequest()
  }

  #adopt(sctp: SctpInternals): void {
    this.#sctp = sctp
    hastenRetransmission(sctp)
    hastenSending(sctp)
    this.#packetSize = new PacketSize(sctp, () => this.#mayFillRecords)
    reportStalls(sctp, () => this.#dtls.reportNoProgress())
    repairReceiver(sctp)
    repairPartialReliability(sctp)
    repairStreamReset(sctp, {
      onincomingreset: (ids) => this.events?.onincomingreset(ids),
      onoutgoingreset: (ids) => this.events?.onoutgoingreset(ids),
    })
    const handleData = sctp.handleData.bind(sctp)
    sctp.handleData = (packet) => this.#receive(packet, handleData)
    sctp.abort = () => sctp.sendChunk(ABORT).catch(() => {}) // The path is gone already.
    sctp.onSackReceived = async () => this.events?.onacknowledged()
    sctp.stateChanged.connected.subscribe(() => {
      this.stateChanged.execute('connected')
      this.events?.onconnect()
    })
    sctp.stateChanged.closed.subscribe(() => {
      this.stateChanged.execute('closed')
      this.events?.onclose(this.#closeError(sctp))
    })
  }

  async #receive(packet: Buffer, handleData: (packet: Buffer) => Promise<void>): Promise<void> {
    const inspected = inspectPacket(packet)
    // A late INIT would make werift forget what it has received, RFC 9260 §5.2.2.
    if (!inspected || (inspected.hasInit && this.isConnected)) return
    // werift throws on what it does not know, inside a promise that nobody awaits.
    try {
      if (inspected.isData && this.isConnected) return receiveDataPacket(this.#sctp!, packet)
      this.#abort = inspected.abort
      if (this.#packetSize?.receive(packet)) return
      await handleData(packet)
    } catch {}
  }

  get #mayFillRecords(): boolean {
    return this.#peerTakesLargePackets() && this.#dtls.staysOnThisMachine
  }

  get #dtls(): GuardedDtlsTransport {
    return this.#transport.dtlsTransport as GuardedDtlsTransport
  }

  /** None for an orderly end: our own, or that of DTLS below. */
  #closeError({ isStopping }: SctpInternals): RTCError | undefined {
    if (isStopping || this.#transport.dtlsTransport.state === 'closed') return undefined
    const { causeCode = null, reason = '' } = this.#abort ?? {}
    const message = this.#abort
      ? `The peer has ended the association${reason && `: ${reason}`}`
      : 'The peer does not answer'
    return new RTCError(
      { errorDetail: 'sctp-failure', ...(causeCode !== null && { sctpCauseCode: causeCode }) },
      message,
    )
  }
}
