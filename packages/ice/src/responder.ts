import type { Attributes, DecodedMessage, IntegrityKey, Packet } from '@floe/stun'
import { encode, withoutScope } from '@floe/stun'
import type { Context } from './outputs.ts'

/** Answers to Binding requests, RFC 8445 §7.3. Each is smaller than the request that caused it. */
export class Responder {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  success(request: DecodedMessage, packet: Packet, key: IntegrityKey): void {
    const { ip, port } = packet.remote
    this.#send('success', request, packet, key, { xorMappedAddress: { ip: withoutScope(ip), port } })
  }

  error(request: DecodedMessage, packet: Packet, key: IntegrityKey, code: number, reason: string): void {
    const unknownAttributes = code === 420 ? { unknownAttributes: request.unknownRequired } : {}
    this.#send('error', request, packet, key, { errorCode: { code, reason }, ...unknownAttributes })
  }

  #send(
    kind: 'success' | 'error',
    { transactionId, sha256Offset }: DecodedMessage,
    packet: Packet,
    key: IntegrityKey,
    attributes: Attributes,
  ): void {
    // RFC 8489 §9.1.3: by the algorithm of the request, which shows that its sender knows it.
    const integrity = sha256Offset === 0 ? 'sha1' : 'sha256'
    const message = { method: 'binding', class: kind, transactionId, attributes } as const
    const bytes = encode(message, { key, integrity, fingerprint: true })
    const { protocol, local, remote } = packet
    this.#context.emit({ type: 'packet', packet: { protocol, local, remote, bytes } })
  }
}
