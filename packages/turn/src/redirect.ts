import type { Address } from '@floe/stun'
import { addressFamily, formatAddress } from '@floe/stun'
import { LIMITS } from './defaults.ts'

/** Where a TURN server may live: an unknown server must not make us talk to mail or database servers (as libwebrtc). */
export function isAllowedPort(port: number): boolean {
  return port === 53 || port === 80 || port === 443 || (port >= 1024 && port <= 0xffff)
}

/**
 * Where ALTERNATE-SERVER (RFC 8489 §10) may lead: one guard per configured server and transport, asked before each hop.
 * A redirect is not authenticated when it answers the first request, so whoever can see that request can write it.
 */
export class RedirectGuard {
  readonly #first: Address
  readonly #protocol: string
  readonly #visited: Set<string>

  /** `protocol` is how the configured server is spoken to: `udp`, `tcp`, `tls` or `dtls`. */
  constructor(server: Address, protocol: string) {
    this.#first = server
    this.#protocol = protocol
    this.#visited = new Set([formatAddress(server)])
  }

  /** Why not to go there; `undefined` when it is all right, and then the hop counts as taken. */
  refuse(server: Address, protocol: string): string | undefined {
    const reason = this.#reason(server, protocol)
    if (reason === undefined) this.#visited.add(formatAddress(server))
    return reason
  }

  #reason({ ip, port }: Address, protocol: string): string | undefined {
    const to = formatAddress({ ip, port })
    if (protocol !== this.#protocol) return `redirect to ${to} changes the transport`
    // RFC 8489 §14.15: the family of the request's source; a socket of ours could not follow anyway. A proxy could.
    const family = addressFamily(this.#first.ip)
    if (family !== undefined && addressFamily(ip) !== family) return `redirect to ${to} changes the address family`
    if (this.#visited.has(to)) return `redirect to ${to}, where we have been: a loop`
    if (this.#visited.size > LIMITS.redirects) return `more than ${LIMITS.redirects} redirects in a row`
    if (isForbidden(ip) && !isForbidden(this.#first.ip)) return `redirect to ${to}, which is no server on the internet`
    if (!isAllowedPort(port)) return `redirect to ${to}: the port is not one that TURN servers have`
    return undefined
  }
}

/** Loopback, link-local (cloud metadata), multicast, broadcast, unspecified: nowhere a server can send us honestly. */
function isForbidden(ip: string): boolean {
  const v4 = /^(?:::ffff:)?([0-9]+)\.([0-9]+)\.[0-9]+\.[0-9]+$/.exec(ip)
  if (v4) {
    const [first, second] = [Number(v4[1]), Number(v4[2])]
    return first === 0 || first === 127 || first >= 224 || (first === 169 && second === 254)
  }
  return ip === '::' || ip === '::1' || /^(fe[89ab]|ff)[0-9a-f]*:/i.test(ip)
}
