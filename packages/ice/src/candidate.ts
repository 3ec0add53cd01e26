import type { Address } from '@floe/stun'
import { addressFamily, canonicalIp, withoutScope } from '@floe/stun'
import { TCP_TYPE_PREFERENCE, TYPE_PREFERENCE } from './defaults.ts'
import type { RelayProtocol } from './servers.ts'

export type CandidateType = keyof typeof TYPE_PREFERENCE

/** RFC 8445 §5.1. Plain data: knows no agent and no socket. */
export interface Candidate {
  readonly type: CandidateType
  readonly protocol: 'udp' | 'tcp'
  /** RFC 6544 §4.5. */
  readonly tcpType?: 'active' | 'passive' | 'so'
  /** What the peer sends to. A name ending in `.local` stays in `ip` until it has been resolved. */
  readonly address: Address
  /** What we send from, for a local candidate; RFC 8445 §5.1.1.2. */
  readonly base?: Address
  readonly relatedAddress?: Address
  readonly foundation: string
  readonly component: number
  readonly priority: number
  readonly usernameFragment?: string
  /** The mDNS name that is signalled in place of `address.ip`. */
  readonly hostname?: string
  /** For a relayed candidate of ours: how we talk to the TURN server. W3C. */
  readonly relayProtocol?: RelayProtocol
  /** The server that it was learnt from. */
  readonly url?: string
  /**
   * What else the candidate line says, in order: of this, the agent looks at `network-id`, `network-cost` and
   * `relay-protocol` alone.
   */
  readonly extensions?: readonly (readonly [name: string, value: string])[]
}

/** RFC 8445 §5.1.2.1; RFC 6544 §4.2 for TCP. `localPreference` is 0 to 65535. */
export function candidatePriority(
  type: CandidateType,
  localPreference: number,
  component = 1,
  protocol: Candidate['protocol'] = 'udp',
): number {
  const preference = protocol === 'tcp' ? TCP_TYPE_PREFERENCE : TYPE_PREFERENCE
  return preference[type] * 2 ** 24 + localPreference * 2 ** 8 + (256 - component)
}

/** The same candidate as a peer-reflexive one: the PRIORITY of our checks from this base, RFC 8445 §7.1.1. */
export function peerReflexivePriority({ priority, protocol }: Candidate): number {
  const preference = protocol === 'tcp' ? TCP_TYPE_PREFERENCE : TYPE_PREFERENCE
  return preference.prflx * 2 ** 24 + (priority % 2 ** 24)
}

/**
 * RFC 8839 §5.1, with or without `a=` and `candidate:` in front. `undefined` when the line is not one, or names a
 * transport or type that this agent does not know.
 */
export function parseCandidate(line: string): Candidate | undefined {
  if (typeof line !== 'string' || line.length > 1024) return undefined
  const words = line
    .trim()
    .replace(/^a=/, '')
    .replace(/^candidate:/, '')
    .split(/\s+/)
  const [foundation, component, transport, priority, host, port, typ, type] = words
  if (typ !== 'typ' || !isFoundation(foundation) || !isType(type)) return undefined
  const protocol = transport?.toLowerCase()
  if (protocol !== 'udp' && protocol !== 'tcp') return undefined
  const address = parseHostPort(host, port)
  const componentId = integer(component, 1, 256)
  const priorityValue = integer(priority, 0, 2 ** 32 - 1)
  if (!address || componentId === undefined || priorityValue === undefined) return undefined
  const rest = parseExtensions(words.slice(8))
  if (!rest) return undefined
  if (protocol === 'tcp' && !rest.tcpType) return undefined
  return { type, protocol, address, foundation, component: componentId, priority: priorityValue, ...rest }
}

/** The candidate-attribute of RFC 8839 §5.1, without `a=`. */
export function formatCandidate(candidate: Candidate): string {
  const { foundation, component, protocol, priority, address, hostname, type, relatedAddress } = candidate
  const ip = hostname ?? withoutScope(address.ip)
  let line = `candidate:${foundation} ${component} ${protocol} ${priority} ${ip} ${address.port} typ ${type}`
  if (relatedAddress) line += ` raddr ${withoutScope(relatedAddress.ip)} rport ${relatedAddress.port}`
  if (candidate.tcpType) line += ` tcptype ${candidate.tcpType}`
  for (const [name, value] of candidate.extensions ?? []) line += ` ${name} ${value}`
  if (candidate.usernameFragment) line += ` ufrag ${candidate.usernameFragment}`
  return line
}

export type AddressScope = 'unspecified' | 'loopback' | 'link-local' | 'private' | 'shared' | 'multicast' | 'global'

/** For candidate policies. `shared` is RFC 6598's carrier-grade NAT range; `private` includes IPv6 unique local ones. */
export function addressScope(ip: string): AddressScope {
  if (addressFamily(ip) === 6) return scope6(ip.toLowerCase())
  const [a = 0, b = 0] = ip.split('.').map(Number)
  if (a === 0) return 'unspecified'
  if (a === 127) return 'loopback'
  if (a === 169 && b === 254) return 'link-local'
  if (a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168)) return 'private'
  if (a === 100 && b >= 64 && b < 128) return 'shared'
  return a >= 224 ? 'multicast' : 'global'
}

/** Not a name that nobody has resolved, nor an address that nobody can have. */
export function isReachable({ ip, port }: Address): boolean {
  const scope = addressFamily(ip) ? addressScope(ip) : 'unspecified'
  return port !== 0 && scope !== 'unspecified' && scope !== 'multicast'
}

/** Whether a packet from one IP address can come to the other: of one family, and both on the loopback or neither. */
export function canReach(from: string, to: string): boolean {
  const scope = addressScope(from)
  if (addressFamily(from) !== addressFamily(to) || scope === 'link-local') return false
  return (scope === 'loopback') === (addressScope(to) === 'loopback')
}

function scope6(ip: string): AddressScope {
  if (ip === '::') return 'unspecified'
  if (ip === '::1') return 'loopback'
  if (/^fe[89ab]/.test(ip)) return 'link-local'
  if (/^f[cd]/.test(ip)) return 'private'
  if (ip.startsWith('::ffff:') && ip.includes('.')) return addressScope(ip.slice(7))
  return ip.startsWith('ff') ? 'multicast' : 'global'
}

/** RFC 8839 §5.1: 1 to 32 ice-chars. Others are met in the wild and do no harm, so only the length is enforced. */
function isFoundation(text: string | undefined): text is string {
  return text !== undefined && text.length >= 1 && text.length <= 32
}

function isType(text: string | undefined): text is CandidateType {
  return text !== undefined && Object.hasOwn(TYPE_PREFERENCE, text)
}

function integer(text: string | undefined, minimum: number, maximum: number): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined
  const value = Number(text)
  return value >= minimum && value <= maximum ? value : undefined
}

function parseHostPort(host: string | undefined, port: string | undefined): Address | undefined {
  const portNumber = integer(port, 0, 65535)
  if (host === undefined || portNumber === undefined) return undefined
  const ip = canonicalIp(host) ?? (/^[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,8}$/.test(host) ? host : undefined)
  return ip === undefined ? undefined : { ip, port: portNumber }
}

type Rest = Pick<Candidate, 'relatedAddress' | 'tcpType' | 'usernameFragment' | 'extensions'>

function parseExtensions(words: string[]): Rest | undefined {
  if (words.length % 2) return undefined
  const rest: { -readonly [K in keyof Rest]: Rest[K] } = {}
  const extensions: [string, string][] = []
  let relatedIp: string | undefined
  for (let i = 0; i < words.length; i += 2) {
    const name = words[i] as string
    const value = words[i + 1] as string
    if (name === 'raddr') relatedIp = value
    else if (name === 'rport') {
      const related = parseHostPort(relatedIp, value)
      if (related) rest.relatedAddress = related
    } else if (name === 'tcptype') {
      if (value !== 'active' && value !== 'passive' && value !== 'so') return undefined
      rest.tcpType = value
    } else if (name === 'ufrag') rest.usernameFragment = value
    else extensions.push([name, value])
  }
  if (extensions.length) rest.extensions = extensions
  return rest
}
