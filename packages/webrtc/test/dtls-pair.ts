import type { IceTransport } from '@floe/ice/node'
import { RTCDtlsFingerprint, RTCDtlsParameters } from 'werift'
import { RTCCertificate } from '../src/node/certificate.ts'
import { GuardedDtlsTransport } from '../src/node/dtls-transport.ts'
import { IceGatherer, IceTransportAdapter } from '../src/node/gatherer.ts'
import { IceConnection } from '../src/node/ice-connection.ts'

type Role = 'client' | 'server'
type Fingerprint = { algorithm: string; value: string }

/** One end of DTLS as the product stacks it, from IceConnection up, on a wire in the hands of the test. */
export class DtlsEnd {
  readonly dtls: GuardedDtlsTransport
  readonly connection = new IceConnection({})
  /** What the application got. */
  readonly received: string[] = []
  /** Every datagram that left. */
  readonly sent: Buffer[] = []
  /** Takes what this end sends. */
  wire: (datagram: Buffer) => void = () => {}
  /** When start() has settled: why it failed. */
  outcome: Promise<Error | undefined> = Promise.resolve(undefined)

  constructor(role: Role, certificate: RTCCertificate) {
    const ice = new IceTransportAdapter(new IceGatherer(this.connection))
    this.dtls = new GuardedDtlsTransport({ debug: {} }, ice, RTCCertificate.unwrap(certificate), this.connection)
    this.dtls.role = role
    this.dtls.dataReceiver = (data) => this.received.push(data.toString())
    // In place of the path that ICE would have found.
    Object.assign(this.connection.transport, {
      send: (bytes: Uint8Array) => {
        const datagram = Buffer.from(bytes)
        this.sent.push(datagram)
        this.wire(datagram)
        return true
      },
    } satisfies Partial<IceTransport>)
  }

  /** As if it had come from the peer. */
  receive(datagram: Buffer): void {
    this.connection.transport.ondata?.(Buffer.from(datagram))
  }

  start(fingerprints: readonly Fingerprint[]): void {
    const peerRole = this.dtls.role === 'client' ? 'server' : 'client'
    const named = fingerprints.map(({ algorithm, value }) => new RTCDtlsFingerprint(algorithm, value))
    this.dtls.setRemoteParams(new RTCDtlsParameters(named, peerRole))
    this.outcome = this.dtls.start().then(
      () => undefined,
      (error: Error) => error,
    )
  }

  async stop(): Promise<void> {
    await this.dtls.stop()
  }
}

export interface DtlsPair extends AsyncDisposable {
  readonly client: DtlsEnd
  readonly server: DtlsEnd
  /** Both ends have settled. */
  readonly outcomes: () => Promise<(Error | undefined)[]>
}

export interface DtlsPairOptions {
  readonly clientCertificate?: RTCCertificate
  readonly serverCertificate?: RTCCertificate
  /** What each end is told of the other. */
  readonly clientNamed?: readonly Fingerprint[]
  readonly serverNamed?: readonly Fingerprint[]
  /** Called before anything is sent: for those who change what happens on the wire. */
  readonly prepare?: (pair: { client: DtlsEnd; server: DtlsEnd }) => void
}

/** Two ends that have started; datagrams arrive in a turn of their own, in order. */
export async function dtlsPair(options: DtlsPairOptions = {}): Promise<DtlsPair> {
  const { clientCertificate = await RTCCertificate.generate(), serverCertificate = await RTCCertificate.generate() } =
    options
  const client = new DtlsEnd('client', clientCertificate)
  const server = new DtlsEnd('server', serverCertificate)
  client.wire = (datagram) => setImmediate(() => server.receive(datagram))
  server.wire = (datagram) => setImmediate(() => client.receive(datagram))
  options.prepare?.({ client, server })
  server.start(options.clientNamed ?? clientCertificate.getFingerprints())
  client.start(options.serverNamed ?? serverCertificate.getFingerprints())
  return {
    client,
    server,
    outcomes: () => Promise.all([client.outcome, server.outcome]),
    async [Symbol.asyncDispose]() {
      await Promise.all([client.stop(), server.stop()])
    },
  }
}
