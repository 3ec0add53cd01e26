/** Networks that let hardly anything out: the one way that is left is found, and all that leaves goes over it. */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join as joinPath } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Coturn, startCoturn } from '../coturn/coturn.ts'
import { transfer } from '../peer/endpoint.ts'
import type { FirewallPolicy } from '../topology/behavior.ts'
import { NAT_TYPES } from '../topology/nat-types.ts'
import { Internet } from './internet.ts'
import { inNamespace, runFolder, whyNot } from './namespaces.ts'
import { type Peer, startPeer } from './peer.ts'
import { SERVER_ADDRESSES } from './plan.ts'
import { join } from './signaling.ts'

const reason = whyNot()

const [SERVER] = SERVER_ADDRESSES
const HTTPS = 443
const BYTES = 1_000_000

interface Way {
  readonly name: string
  readonly firewall: FirewallPolicy
  /** The proxy on the internet, if there is one. */
  readonly proxy?: 'http' | 'socks5'
  /** TURN URLs that the peer behind the firewall knows; the one that works is not the first. */
  readonly schemes: readonly ('udp' | 'tcp' | 'tls')[]
  readonly found: 'tcp' | 'tls'
  /** TCP port that everything must leave to. */
  readonly port: number
}

const PROXY_PORT = 3128

const WAYS: readonly Way[] = [
  {
    name: 'E44 UDP is blocked: TURN over TCP',
    firewall: { outgoingPorts: [] },
    schemes: ['udp', 'tcp'],
    found: 'tcp',
    port: 3478,
  },
  {
    name: 'E44 only TCP to port 443 may leave: TURN over TLS',
    firewall: { outgoingPorts: [], outgoingTcpPorts: [HTTPS] },
    schemes: ['udp', 'tcp', 'tls'],
    found: 'tls',
    port: HTTPS,
  },
  {
    name: 'an HTTP proxy is the only way out: CONNECT, and TURN over TCP inside',
    firewall: { outgoingPorts: [], outgoingTcpPorts: [PROXY_PORT] },
    proxy: 'http',
    schemes: ['udp', 'tcp'],
    found: 'tcp',
    port: PROXY_PORT,
  },
  {
    name: 'I82 an HTTP proxy is the only way out: CONNECT, and TURN over TLS inside',
    firewall: { outgoingPorts: [], outgoingTcpPorts: [PROXY_PORT] },
    proxy: 'http',
    schemes: ['udp', 'tls'],
    found: 'tls',
    port: PROXY_PORT,
  },
  {
    name: 'I82 a SOCKS5 proxy is the only way out: TURN over TLS inside',
    firewall: { outgoingPorts: [], outgoingTcpPorts: [PROXY_PORT] },
    proxy: 'socks5',
    schemes: ['udp', 'tls'],
    found: 'tls',
    port: PROXY_PORT,
  },
]

describe.skipIf(reason)(`the way out${reason ? ` (left out: ${reason})` : ''}`, () => {
  test.each(WAYS)('$name', async (way) => {
    await using internet = await Internet.build({
      hosts: { inside: [{ firewall: way.firewall }], outside: NAT_TYPES['eim-apdf'].placements, proxy: [{}] },
      latency: 5,
    })
    await using coturn = await startCoturn({
      ips: [SERVER],
      port: 3478,
      tls: { port: HTTPS },
      within: inNamespace(internet.namespace('servers'), []),
    })
    const [proxyIp, insideIp] = [addressOf(internet, 'proxy'), addressOf(internet, 'inside')]
    if (way.proxy) await startProxy(internet, way.proxy)
    await countWhatLeaves(internet, way.proxy ? proxyIp : SERVER, way.port)

    const proxy = way.proxy && { proxy: `${way.proxy}://${proxyIp}:${PROXY_PORT}` }
    const [inside, outside] = await Promise.all([
      startPeer(internet, 'inside', 'node', configuration(coturn, way.schemes, proxy)),
      startPeer(internet, 'outside', 'node', configuration(coturn, ['udp'])),
    ])
    await carriesData(inside, outside)

    expect(await inside.endpoint.relay()).toBe(way.found)
    const { all, expected } = await whatLeft(internet)
    // Where TCP may leave, SYNs go to the peer's own candidates as well (RFC 6544), and come to nothing.
    expect(all.bytes - expected.bytes).toBeLessThan(1_000)
    // The peer's bytes were acknowledged, and ours carried DTLS, SCTP and ChannelData besides.
    expect(all.bytes).toBeGreaterThan(BYTES)
    const clients = [...coturn.log.matchAll(/tcp or tls connected to: ([\d.]+):/g)].map(([, ip]) => ip)
    expect(new Set(clients)).toEqual(new Set([way.proxy ? proxyIp : insideIp]))
  })
})

async function carriesData(inside: Peer, outside: Peer): Promise<void> {
  const { broken } = join(inside.endpoint, outside.endpoint)
  const connected = inside.endpoint
    .offer()
    .then(() => Promise.all([inside.endpoint.opened(), outside.endpoint.opened()]))
  await Promise.race([broken, connected])
  const [sent, received] = await transfer(inside.endpoint, outside.endpoint, BYTES)
  expect(received).toBe(sent)
  await outside.endpoint.ping('thank you')
}

function configuration(coturn: Coturn, schemes: Way['schemes'], more: object = {}): RTCConfiguration {
  const { username, credential } = coturn
  const urlOf = { udp: coturn.url(), tcp: coturn.url('turn', 'tcp'), tls: coturn.url('turns', 'tcp') }
  const ice = { tls: { ca: coturn.ca! }, ...more }
  return { iceServers: [{ urls: schemes.map((scheme) => urlOf[scheme]), username, credential }], ice } as object
}

async function startProxy(internet: Internet, kind: 'http' | 'socks5'): Promise<void> {
  const namespace = internet.namespace('proxy')
  const file = joinPath(runFolder(), `${namespace}.tinyproxy.conf`)
  const lines = [`Port ${PROXY_PORT}`, 'Timeout 60', 'MaxClients 20', 'LogLevel Critical']
  writeFileSync(file, `${lines.join('\n')}\n`)
  const program = kind === 'http' ? ['tinyproxy', '-d', '-c', file] : ['microsocks', '-p', `${PROXY_PORT}`]
  const [command, ...args] = inNamespace(namespace, program)
  internet.adopt(spawn(command!, args, { stdio: 'ignore' }))
  const listens = `ss -Hltn 'sport = :${PROXY_PORT}' | grep -q .`
  await internet.run('proxy', `for i in $(seq 100); do ${listens} && exit 0; sleep 0.05; done; exit 1`)
}

/** Counters behind the firewall of `inside`: of all that leaves, and of what leaves to this address and TCP port. */
async function countWhatLeaves(internet: Internet, ip: string, port: number): Promise<void> {
  const rules = `table inet evidence {
  counter everything { }
  counter expected { }
  chain leaving {
    type filter hook forward priority 10
    iifname "lan" counter name everything
    iifname "lan" ip daddr ${ip} tcp dport ${port} counter name expected
  }
}`
  await internet.run(routerOf(internet), `nft -f - <<'end'\n${rules}\nend`)
}

interface Count {
  readonly packets: number
  readonly bytes: number
}

async function whatLeft(internet: Internet): Promise<{ all: Count; expected: Count }> {
  const text = await internet.run(routerOf(internet), 'nft list counters table inet evidence')
  const count = (name: string): Count => {
    const [, packets, bytes] = new RegExp(`${name} {\\s+packets (\\d+) bytes (\\d+)`).exec(text)!
    return { packets: Number(packets), bytes: Number(bytes) }
  }
  return { all: count('everything'), expected: count('expected') }
}

function routerOf(internet: Internet): string {
  return internet.host('inside').routers[0]!
}

function addressOf(internet: Internet, host: string): string {
  return internet.host(host).attachments[0]!.address
}
