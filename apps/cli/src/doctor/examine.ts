/** Asks everybody who knows something about this network: servers, the router, DNS, and this machine itself. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { addressScope, type Candidate } from '@floe/ice'
import { type IceServer, IceTransport, type IceTransportOptions } from '@floe/ice/node'
import {
  checkForwarding,
  countLayers,
  type DiscoveredBehavior,
  discoverBehavior,
  discoverNat64,
  findTranslator,
  PortMapper,
} from '@floe/nat/node'
import { formatAddress, parseStunUri, parseTurnUri } from '@floe/stun'
import type { CandidateFinding, Findings, MappingFinding, ServerFinding } from './findings.ts'

export interface ExamineOptions {
  readonly iceServers: readonly RTCIceServer[]
  readonly portMapping: boolean
  readonly signal: AbortSignal
}

/** Takes ten seconds at most. Rejects when aborted. */
export async function examine({ iceServers, portMapping, signal }: ExamineOptions): Promise<Findings> {
  const servers = iceServers as readonly IceServer[]
  const urls = servers.flatMap((server) => server.urls)
  const behavior = discoverBehavior({ servers: urls.flatMap(asStun), signal })
  const [gathered, nat, nat64, mapping, relays] = await Promise.all([
    gather(servers, signal),
    behavior,
    discoverNat64({ signal }),
    portMapping ? mapOnce(behavior, signal) : undefined,
    Promise.all(servers.flatMap(oneByOne).map((server) => throughRelay(server, signal))),
  ])
  const external = mapping?.mapping && hostOf(mapping.mapping.external)
  return {
    candidates: [...gathered.candidates.map(describe), ...(mapping?.mapping ? [mappedCandidate(mapping)] : [])],
    servers: [...urls.flatMap((url) => stunFinding(url, nat, gathered)), ...relays],
    nat: external === undefined ? nat : withLayers(nat, external),
    portMapping: mapping,
    nat64,
  }
}

/** Longest time that a relay, or gathering, is waited for, milliseconds. */
const PATIENCE = 8_000
/** Longest time for a look through a port mapping, after the servers are known. */
const LOOK_PATIENCE = 4_000

interface Gathered {
  readonly candidates: readonly Candidate[]
  /** By URL: why it did not help. */
  readonly errors: ReadonlyMap<string, string>
}

async function gather(iceServers: readonly IceServer[], signal: AbortSignal): Promise<Gathered> {
  await using transport = new IceTransport({ iceServers, nat64: findTranslator, ...loopbackFor(iceServers) })
  const errors = new Map<string, string>()
  transport.addEventListener('icecandidateerror', ({ url, errorText }) => errors.set(url, errorText))
  const complete = new Promise<void>((resolve) => {
    transport.addEventListener('icecandidate', ({ candidate }) => candidate === null && resolve())
  })
  transport.gather()
  await within(complete, signal)
  // What only connects has no address that a peer could use.
  return { candidates: transport.getLocalCandidates().filter(({ tcpType }) => tcpType !== 'active'), errors }
}

/** A connection of this process with itself through the one server: the only proof that it relays. */
async function throughRelay(server: IceServer, signal: AbortSignal): Promise<ServerFinding> {
  const url = String(server.urls)
  const more = loopbackFor([server])
  await using relayed = new IceTransport({ iceServers: [server], gatherPolicy: 'relay', role: 'controlling', ...more })
  await using plain = new IceTransport({
    iceServers: [{ urls: asStun(url) }].filter(({ urls }) => urls.length),
    ...more,
  })
  let error: string | undefined
  relayed.addEventListener('icecandidateerror', ({ errorText }) => {
    error ??= errorText
  })
  for (const [from, to] of [
    [relayed, plain],
    [plain, relayed],
  ] as const) {
    from.addEventListener('icecandidate', ({ candidate }) => to.state !== 'closed' && to.addRemoteCandidate(candidate))
  }
  relayed.gather()
  plain.gather()
  relayed.start(plain.getLocalParameters())
  plain.start(relayed.getLocalParameters())
  const connected = relayed.connected({ signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]) })
  const pair = await connected.catch(() => undefined)
  signal.throwIfAborted()
  if (!pair) return { url, works: false, error: error ?? 'it relayed nothing' }
  const { roundTripTime } = pair
  return { url, works: true, ...(roundTripTime !== undefined && { roundTripTime: Math.round(roundTripTime) }) }
}

/** Maps a port of the address that leads out, looks whether somebody gets in, and gives it back. */
async function mapOnce(behavior: Promise<DiscoveredBehavior>, signal: AbortSignal): Promise<MappingFinding> {
  await using mapper = new PortMapper({ signal })
  const ip = await addressLeadingOut()
  if (ip === undefined) return { reason: 'this machine has no way out over IPv4' }
  const socket = createSocket('udp4')
  try {
    socket.bind(0, ip)
    await once(socket, 'listening')
    let reason = 'no answer'
    const { port } = socket.address()
    const mapping = await mapper.map({ ip, port }, { onchange: (_, why) => void (reason = why) })
    if (!mapping) return { reason }
    const { protocol, external, lifetime } = mapping
    const answering = (await behavior).ipv4?.servers.filter(({ roundTripTime }) => roundTripTime !== undefined) ?? []
    const verdict = await Promise.race([
      checkForwarding(
        socket,
        external,
        answering.map(({ address }) => address),
      ),
      sleep(LOOK_PATIENCE, 'unknown' as const, { ref: false }),
    ])
    const forwards = verdict === 'unknown' ? {} : { forwards: verdict === 'forwards' }
    return { mapping: { protocol, external: formatAddress(external), lifetime, ...forwards } }
  } finally {
    socket.close()
  }
}

/** No packet is sent: connecting a UDP socket asks for a route. 192.0.2.1 is nobody's (RFC 5737). */
async function addressLeadingOut(): Promise<string | undefined> {
  const socket = createSocket('udp4')
  try {
    socket.connect(9, '192.0.2.1')
    await once(socket, 'connect')
    return socket.address().address
  } catch {
    return undefined
  } finally {
    socket.close()
  }
}

function stunFinding(url: string, nat: DiscoveredBehavior, { errors, candidates }: Gathered): ServerFinding[] {
  const uri = parseStunUri(url)
  if (uri === undefined) return []
  const answers = [nat.ipv4, nat.ipv6].flatMap((family) => family?.servers ?? [])
  const own = answers.filter(
    ({ address }) => address.port === uri.port && (!isLiteral(uri.host) || address.ip === uri.host),
  )
  const times = own.flatMap(({ roundTripTime }) => roundTripTime ?? [])
  const works = times.length > 0 || candidates.some((candidate) => candidate.url === url)
  if (!works) return [{ url, works, error: errors.get(url) ?? 'no answer' }]
  return [{ url, works, ...(times.length > 0 && { roundTripTime: Math.round(Math.min(...times)) }) }]
}

function isLiteral(host: string): boolean {
  return host.includes(':') || /^[\d.]+$/.test(host)
}

/** A TURN server over UDP tells addresses like any other. */
function asStun(url: string): string[] {
  if (parseStunUri(url)?.scheme === 'stun') return [url]
  const turn = parseTurnUri(url)
  if (turn?.scheme !== 'turn' || turn.transport === 'tcp') return []
  return [`stun:${turn.host.includes(':') ? `[${turn.host}]` : turn.host}:${turn.port}`]
}

function oneByOne(server: IceServer): IceServer[] {
  const urls = typeof server.urls === 'string' ? [server.urls] : server.urls
  return urls.filter((url) => parseTurnUri(url) !== undefined).map((url) => ({ ...server, urls: url }))
}

/** Servers on this machine's loopback are reached from there only. */
function loopbackFor(servers: readonly IceServer[]): IceTransportOptions {
  const hosts = servers.flatMap(({ urls }) => urls).map((url) => (parseStunUri(url) ?? parseTurnUri(url))?.host ?? '')
  return hosts.some((host) => /^(localhost|127\..*|::1)$/i.test(host)) ? { includeLoopback: true } : {}
}

function withLayers(nat: DiscoveredBehavior, external: string): DiscoveredBehavior {
  const { ipv4 } = nat
  const layers = ipv4?.mapped && countLayers(ipv4.local, ipv4.mapped, external)
  if (!ipv4 || layers === undefined) return nat
  const carrierGrade = ipv4.carrierGrade || addressScope(external) === 'shared'
  return { ...nat, ipv4: { ...ipv4, layers, carrierGrade } }
}

function describe({ type, protocol, address, url }: Candidate): CandidateFinding {
  const kind = type === 'prflx' ? 'srflx' : type
  return { type: kind, protocol, address: address.ip, port: address.port, ...(url !== undefined && { url }) }
}

function mappedCandidate({ mapping }: MappingFinding): CandidateFinding {
  const [, ip = '', port = ''] = /^\[?([^\]]+?)\]?:(\d+)$/.exec(mapping!.external) ?? []
  return { type: 'mapped', protocol: 'udp', address: ip, port: Number(port) }
}

function hostOf(address: string): string | undefined {
  return /^\[?([^\]]+?)\]?:\d+$/.exec(address)?.[1]
}

async function within(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const end = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)])
  await Promise.race([promise, new Promise<void>((resolve) => end.addEventListener('abort', () => resolve()))])
  signal.throwIfAborted()
}
