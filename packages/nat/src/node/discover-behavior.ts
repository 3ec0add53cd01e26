import { createSocket, type Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { type Address, canonicalIp, parseStunUri } from '@floe/stun'
import type { NatBehavior } from '../behavior.ts'
import { BehaviorDiscovery } from '../behavior-discovery.ts'
import { NatError } from '../error.ts'
import { Alarm, clock } from './clock.ts'
import { random } from './random.ts'
import { openSocket, sendFrom } from './udp.ts'

export interface DiscoverBehaviorOptions {
  /** STUN URIs (RFC 7064): `stun:stun.example.org`. Two on different addresses, or one that supports RFC 5780. */
  readonly servers: readonly string[]
  /** External address of the home router, as a port mapping tells it: tells one NAT from several. */
  readonly gatewayExternalIp?: string
  /** Aborting rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

/** What was found out, by the family of the local addresses. A family is absent when no server has an address of it. */
export interface DiscoveredBehavior {
  readonly ipv4?: NatBehavior
  readonly ipv6?: NatBehavior
}

/**
 * Finds out what the NATs between this host and the internet do, in both families at once. Takes a second or two, five
 * at most after the names have been resolved, and a few dozen small packets. Nothing should wait for it
 * or depend on it: it describes, and NATs change their minds.
 *
 * Throws ERR_NAT_ARGUMENT for what is no STUN URI. Names that do not resolve count as servers that do not answer.
 */
export async function discoverBehavior(options: DiscoverBehaviorOptions): Promise<DiscoveredBehavior> {
  const { servers, signal } = options
  const uris = servers.map((server) => {
    const uri = parseStunUri(server)
    if (uri?.scheme === 'stun') return uri
    throw new NatError('ERR_NAT_ARGUMENT', `servers must be STUN URIs such as stun:stun.example.org, not ${server}`)
  })
  signal?.throwIfAborted()
  const resolved = await abortable(Promise.all(uris.map(({ host, port }) => resolve(host, port))), signal)
  const addresses = resolved.flat()
  const [ipv4, ipv6] = await Promise.all(
    [4, 6].map((family) => {
      const own = addresses.filter(({ ip }) => ip.includes(':') === (family === 6))
      return own.length === 0 ? undefined : discover(own, options)
    }),
  )
  return { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) }
}

/** Enough to tell random ports from a block of them. */
const SOCKETS = 8
/** Of a server with many addresses. */
const ADDRESSES_PER_FAMILY = 2
/** A name that takes longer than this is given up, milliseconds. */
const RESOLVE_PATIENCE = 5_000

/** Resolves to `undefined` where there is no way to the servers, for instance no IPv6. */
async function discover(servers: Address[], options: DiscoverBehaviorOptions): Promise<NatBehavior | undefined> {
  const { signal, gatewayExternalIp } = options
  const ip = await localAddressTo(servers[0]!)
  if (ip === undefined) return undefined
  signal?.throwIfAborted()
  const sockets: Socket[] = []
  try {
    while (sockets.length < SOCKETS) sockets.push(openSocket({ ip, port: 0 }))
    const discovery = drive(sockets, ip, servers, gatewayExternalIp)
    return await abortable(discovery.report, signal, discovery.stop)
  } finally {
    for (const socket of sockets) socket.close()
  }
}

function drive(sockets: readonly Socket[], ip: string, servers: readonly Address[], gatewayExternalIp?: string) {
  const locals = sockets.map((socket) => Object.freeze({ ip, port: socket.address().port }))
  const machine = new BehaviorDiscovery(clock(), { locals, servers, random, gatewayExternalIp })
  let finish: (behavior: NatBehavior) => void
  const report = new Promise<NatBehavior>((resolve) => {
    finish = resolve
  })
  const settle = () => {
    for (let output = machine.poll(); output; output = machine.poll()) {
      if (output.type === 'report') finish(output.behavior)
      else sendFrom(sockets[locals.indexOf(output.packet.local)]!, output.packet.bytes, output.packet.remote)
    }
    alarm.set(machine.timeout())
  }
  const alarm = new Alarm(() => {
    machine.handleTimeout(clock())
    settle()
  })
  for (const [index, socket] of sockets.entries()) {
    socket.on('message', (bytes, from) => {
      const remote = { ip: canonicalIp(from.address) ?? from.address, port: from.port }
      machine.handlePacket(clock(), { protocol: 'udp', local: locals[index]!, remote, bytes })
      settle()
    })
  }
  settle()
  return { report, stop: () => alarm.stop() }
}

/** The local address that the system would send from: connecting a UDP socket sends nothing. */
function localAddressTo({ ip, port }: Address): Promise<string | undefined> {
  const socket = createSocket(ip.includes(':') ? 'udp6' : 'udp4')
  return new Promise((resolve) => {
    const finish = (local: string | undefined) => {
      socket.close()
      resolve(local)
    }
    socket.on('error', () => finish(undefined))
    socket.connect(port, ip, () => finish(canonicalIp(socket.address().address)))
  })
}

async function resolve(host: string, port: number): Promise<Address[]> {
  const literal = canonicalIp(host)
  if (literal !== undefined) return [{ ip: literal, port }]
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never[]>((give) => {
    timer = setTimeout(() => give([]), RESOLVE_PATIENCE)
  })
  const found = await Promise.race([lookup(host, { all: true }).catch(() => []), late])
  clearTimeout(timer)
  return ([4, 6] as const).flatMap((family) =>
    found
      .filter((each) => each.family === family)
      .slice(0, ADDRESSES_PER_FAMILY)
      .map(({ address }) => ({ ip: canonicalIp(address) ?? address, port })),
  )
}

/** Rejects with the signal's reason when it aborts first. `onend` is called either way. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined, onend: () => void = () => {}): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = () => reject(signal!.reason)
    signal?.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal?.removeEventListener('abort', abort))
  }).finally(onend)
}
