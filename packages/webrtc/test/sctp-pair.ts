import { RTCSctpTransport, Event as WeriftEvent } from 'werift'
import type { DataStream } from '../src/node/data-stream.ts'
import { DataStreams } from '../src/node/data-streams.ts'
import type { ChannelParameters } from '../src/node/dcep.ts'
import { WeriftAssociation } from '../src/node/werift-association.ts'
import { type SctpInternals, sctpInternals } from '../src/node/werift-internals.ts'

/** What happens to a packet on the wire: `false` loses it, a Buffer goes in its place. */
export type Wire = (packet: Buffer) => boolean | Buffer

/** One end of an SCTP association in memory, without DTLS and ICE, and with a wire in the hands of the test. */
export class SctpEnd {
  readonly transport = new RTCSctpTransport(5000, 262_144)
  readonly association = new WeriftAssociation(this.transport, () => this.peerTakesLargePackets)
  readonly announced: DataStream[] = []
  readonly streams = new DataStreams(this.association, (stream) => {
    this.announced.push(stream)
    this.watch(stream)
  })
  /** What happened to the streams, in order. */
  readonly log: string[] = []
  wire: Wire = () => true
  peerTakesLargePackets = false
  readonly dtls: FakeDtls

  constructor(role: 'controlling' | 'controlled') {
    this.dtls = new FakeDtls(role)
    this.transport.setDtlsTransport(this.dtls as never)
  }

  get sctp(): SctpInternals {
    return sctpInternals(this.transport)
  }

  /** As if it had come from the peer. */
  receive(packet: Buffer): Promise<void> {
    return this.sctp.handleData(packet)
  }

  create(parameters: Partial<ChannelParameters> = {}, id = 0): DataStream {
    return this.watch(this.streams.create({ ...RELIABLE, ...parameters }, id))
  }

  watch(stream: DataStream): DataStream {
    stream.handlers = {
      onopen: () => this.log.push(`open ${stream.id}`),
      onmessage: (data) => this.log.push(typeof data === 'string' ? data : `${data.length} bytes`),
      onsent: () => {},
      onclosing: () => this.log.push(`closing ${stream.id}`),
      onclose: (error) => this.log.push(`close ${stream.id}${error ? ` ${error.message}` : ''}`),
    }
    return stream
  }
}

export const RELIABLE: ChannelParameters = {
  label: 'x',
  protocol: '',
  ordered: true,
  maxRetransmits: null,
  maxPacketLifeTime: null,
}

/** Two ends, up and running. Packets arrive in a turn of their own, in order. */
export async function sctpPair(): Promise<{ a: SctpEnd; b: SctpEnd }> {
  const [a, b] = [new SctpEnd('controlling'), new SctpEnd('controlled')]
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.dtls.sendData = async (packet) => {
      const passed = from.wire(packet)
      if (passed !== false) setImmediate(() => to.dtls.dataReceiver(passed === true ? Buffer.from(packet) : passed))
    }
  }
  await Promise.all([a, b].map(({ transport }) => transport.start(5000)))
  while (!a.association.isConnected || !b.association.isConnected) await new Promise(setImmediate)
  return { a, b }
}

/** The chunk types of a packet, RFC 9260 §3.2. */
export function chunkTypes(packet: Buffer): number[] {
  const types: number[] = []
  for (let at = 12; at < packet.length; ) {
    types.push(packet[at]!)
    const length = packet.readUInt16BE(at + 2)
    at += length + (-length & 3)
  }
  return types
}

/** The numbers of the DATA chunks of a packet. */
export function tsns(packet: Buffer): number[] {
  const found: number[] = []
  for (let at = 12; at < packet.length; ) {
    if (packet[at] === 0) found.push(packet.readUInt32BE(at + 4))
    const length = packet.readUInt16BE(at + 2)
    at += length + (-length & 3)
  }
  return found
}

/** What werift's SCTP sees of DTLS. */
class FakeDtls {
  readonly id = Math.random().toString()
  readonly onStateChange = new WeriftEvent<[string]>()
  readonly iceTransport: { role: string }
  state = 'connected'
  staysOnThisMachine = false
  noProgress = 0
  dataReceiver: (packet: Buffer) => void = () => {}
  sendData: (packet: Buffer) => Promise<void> = async () => {}

  reportNoProgress(): void {
    this.noProgress++
  }

  constructor(role: string) {
    this.iceTransport = { role }
  }
}
