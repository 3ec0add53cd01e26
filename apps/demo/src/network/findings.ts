/** What a page can find out about its network, and what that means. A page sees less than `floe doctor`: no router, no port. */

/** One candidate, as its line tells. */
export interface Seen {
  readonly type: 'host' | 'srflx' | 'relay'
  readonly protocol: string
  /** An mDNS name, where the browser keeps the address to itself. */
  readonly address: string
  readonly port: number
  /** Of the interface, among those of this browser: two of them behind one NAT have a port each. */
  readonly rank: number
}

export interface Survey {
  /** Of sockets that asked all servers, one for each interface. */
  readonly candidates: readonly Seen[]
  readonly servers: readonly ServerSeen[]
}

export interface ServerSeen {
  readonly url: string
  readonly works: boolean
  /** Milliseconds until it had answered, or until a connection through it stood. */
  readonly time?: number
}

export type Mapping = 'none' | 'endpoint-independent' | 'endpoint-dependent' | 'unknown'

/** RFC 4787 §4.1, as far as one socket and the servers that have answered it tell. */
export function mappingOf({ candidates, servers }: Survey): Mapping {
  const outside = candidates.filter(
    ({ type, protocol, address }) => type === 'srflx' && protocol === 'udp' && !isV6(address),
  )
  const answering = servers.filter(({ url, works }) => works && url.startsWith('stun')).length
  const bySocket = new Map<string, Set<number>>()
  for (const { address, port, rank } of outside) {
    const socket = `${address} ${rank}`
    bySocket.set(socket, (bySocket.get(socket) ?? new Set()).add(port))
  }
  const ports = Math.max(0, ...[...bySocket.values()].map(({ size }) => size))
  if (outside.length === 0) return answering > 0 ? 'none' : 'unknown'
  // A single server sees a single port of each socket, whatever the NAT does.
  if (answering < 2) return 'unknown'
  return ports > 1 ? 'endpoint-dependent' : 'endpoint-independent'
}

export interface Statement {
  readonly tone: 'good' | 'busy' | 'bad' | 'quiet'
  readonly title: string
  readonly words: string
}

/** The headline. */
export function verdictOf(survey: Survey): Statement {
  const { servers, candidates } = survey
  const relayed = servers.some(({ url, works }) => works && url.startsWith('turn'))
  const answered = servers.some(({ url, works }) => works && url.startsWith('stun'))
  if (servers.length === 0)
    return {
      tone: 'quiet',
      title: 'No server was asked',
      words: 'Name a STUN server below, better two on different addresses.',
    }
  if (!answered && !relayed) return BLOCKED
  if (!answered) return RELAYED
  const mapping = mappingOf(survey)
  if (mapping === 'none' || mapping === 'endpoint-independent') return EASY
  if (mapping === 'unknown') return LIKELY
  const v6 = candidates.some(({ address, type }) => isV6(address) && type !== 'relay')
  return {
    ...(relayed ? HARD : STUCK),
    words: `${(relayed ? HARD : STUCK).words}${v6 ? ' IPv6 may help: this browser has it.' : ''}`,
  }
}

const EASY: Statement = {
  tone: 'good',
  title: 'Connections will be direct with most people',
  words: 'Everybody sees this browser at the same outside port, which is all that a direct connection needs.',
}
const LIKELY: Statement = {
  tone: 'good',
  title: 'Connections will probably be direct',
  words:
    'A server sees this browser’s outside address. A second server would tell whether everybody sees the same one.',
}
const HARD: Statement = {
  tone: 'busy',
  title: 'Direct with some people, relayed with others',
  words: 'The router gives another outside port to every destination. The relay carries what cannot be direct.',
}
const STUCK: Statement = {
  tone: 'bad',
  title: 'Connections will fail with some people',
  words: 'The router gives another outside port to every destination, and no relay is offered.',
}
const RELAYED: Statement = {
  tone: 'busy',
  title: 'Everything will be relayed',
  words: 'No server answers over UDP, but a relay works.',
}
const BLOCKED: Statement = {
  tone: 'bad',
  title: 'No server answers',
  words: 'UDP is blocked, or the servers are down. Peers in this network can still be reached.',
}

/** In RFC 4787's words, and in plain ones. */
export const MAPPING_WORDS: Readonly<Record<Mapping, string>> = {
  none: 'No NAT over IPv4: the address inside is the one outside.',
  'endpoint-independent': 'Mapping endpoint-independent: the same outside port for everybody.',
  'endpoint-dependent': 'Mapping endpoint-dependent: another outside port for every destination.',
  unknown: 'Mapping unknown: that takes answers of two servers.',
}

/** `candidate:foundation component protocol priority address port typ type …`, RFC 8839 §5.1. */
export function readCandidate(line: string): Seen | undefined {
  const [, , protocol = '', priority, address = '', port, , type, ...rest] = line.split(' ')
  if (type !== 'host' && type !== 'srflx' && type !== 'relay') return undefined
  // What only connects has no address that a peer could use.
  if (rest.includes('active')) return undefined
  return { type, protocol: protocol.toLowerCase(), address, port: Number(port), rank: rankOf(Number(priority)) }
}

/**
 * The base of a candidate is hidden from pages. Its priority is not (RFC 8445 §5.1.2.1): of the local preference's two
 * bytes libwebrtc and nICEr put the interface into the first; in the second nICEr counts the servers.
 */
function rankOf(priority: number): number {
  return (priority >>> 16) & 0xff
}

function isV6(address: string): boolean {
  return address.includes(':')
}
