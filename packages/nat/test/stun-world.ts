/** STUN servers behind a NAT of any behaviour in RFC 4787's terms. */
import { type Address, decode, encode, formatAddress, type Packet, sameAddress } from '@floe/stun'
import type { Answer, Router } from './virtual-time.ts'

export const NAT_IP = '203.0.113.7'
export const SERVERS = ['192.0.2.1', '192.0.2.2'] as const

type Dependence = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'

export class StunWorld implements Router {
  mapping: Dependence = 'endpoint-independent'
  filtering: Dependence = 'address-and-port-dependent'
  hairpinning: 'external' | 'internal' | 'none' = 'none'
  /** No NAT at all: what servers see is what there is. */
  transparent = false
  /** The external port of a new mapping. */
  allocate: (internal: Address, count: number) => number = (_, count) => 40_000 + count * 997
  /** The external IP address of a new mapping. */
  pool: (internal: Address) => string = () => NAT_IP
  /** How servers treat CHANGE-REQUEST: as RFC 5780 says, not at all, or with error 420. */
  rfc5780: 'yes' | 'ignore' | 'refuse' | 'pretend' = 'yes'
  /** Whether servers know RESPONSE-PORT; if not they refuse it. */
  responsePort = true
  /** Mapped at the router, and open to everybody. */
  forwarded: Address | undefined
  /** Servers that do not answer. */
  readonly dead = new Set<string>()
  readonly #mappings: { key: string; internal: Address; external: Address; sentTo: Address[] }[] = []

  handlePacket(_now: number, packet: Packet): Answer[] {
    const external = this.transparent ? packet.local : this.#translate(packet.local, packet.remote)
    if (packet.remote.ip === NAT_IP) return this.#hairpin(packet, external)
    if (!SERVERS.includes(packet.remote.ip as (typeof SERVERS)[number]) || this.dead.has(packet.remote.ip)) return []
    return this.#serve(packet, external)
  }

  #serve({ local, remote, bytes }: Packet, external: Address): Answer[] {
    const { transactionId, attributes } = decode(bytes)!
    const other = { ip: SERVERS.find((ip) => ip !== remote.ip)!, port: remote.port === 3478 ? 3479 : 3478 }
    const { changeIp = false, changePort = false } = attributes.changeRequest ?? {}
    const refuses = attributes.responsePort !== undefined && !this.responsePort
    if (refuses || (attributes.changeRequest && this.rfc5780 === 'refuse')) {
      const errorCode = { code: 420, reason: '' }
      return [
        {
          bytes: encode({ method: 'binding', class: 'error', transactionId, attributes: { errorCode } }),
          from: remote,
        },
      ]
    }
    const obeys = this.rfc5780 === 'yes'
    const from = { ip: obeys && changeIp ? other.ip : remote.ip, port: obeys && changePort ? other.port : remote.port }
    const announces = obeys || this.rfc5780 === 'refuse' || this.rfc5780 === 'pretend'
    const answer = { xorMappedAddress: external, ...(announces && { otherAddress: other }) }
    const sent = { bytes: encode({ method: 'binding', class: 'success', transactionId, attributes: answer }), from }
    if (this.dead.has(from.ip)) return []
    const to = { ip: external.ip, port: attributes.responsePort ?? external.port }
    return this.transparent || this.#letsIn(to, from) ? [{ ...sent, to: local }] : []
  }

  #hairpin({ local, remote, bytes }: Packet, external: Address): Answer[] {
    if (this.hairpinning === 'none') return []
    const from = this.hairpinning === 'external' ? external : local
    const target = this.#mappings.find((mapping) => sameAddress(mapping.external, remote))
    return target && this.#letsIn(remote, external) ? [{ bytes, from, to: target.internal }] : []
  }

  #translate(internal: Address, remote: Address): Address {
    const parts = [formatAddress(internal)]
    if (this.mapping !== 'endpoint-independent') parts.push(remote.ip)
    if (this.mapping === 'address-and-port-dependent') parts.push(String(remote.port))
    const key = parts.join()
    let mapping = this.#mappings.find((each) => each.key === key)
    if (mapping === undefined) {
      const external = { ip: this.pool(internal), port: this.allocate(internal, this.#mappings.length) }
      mapping = { key, internal, external, sentTo: [] }
      this.#mappings.push(mapping)
    }
    mapping.sentTo.push(remote)
    return mapping.external
  }

  #letsIn(external: Address, from: Address): boolean {
    if (this.forwarded && sameAddress(external, this.forwarded)) return true
    const sentTo = this.#mappings.find((mapping) => sameAddress(mapping.external, external))?.sentTo ?? []
    if (this.filtering === 'endpoint-independent') return sentTo.length > 0
    if (this.filtering === 'address-dependent') return sentTo.some(({ ip }) => ip === from.ip)
    return sentTo.some((each) => sameAddress(each, from))
  }
}
