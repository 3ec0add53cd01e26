import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { decode, encode } from '@floe/stun'
import { afterEach, describe, expect, test } from 'vitest'
import { addressScope } from '../../src/index.ts'
import { IceTransport, type IceTransportOptions, type PortMapper, type PortMapping } from '../../src/node/index.ts'
import { hostAddresses } from '../../src/node/interfaces.ts'
import { PortMappings } from '../../src/node/port-mappings.ts'
import type { UdpSocket } from '../../src/node/sockets.ts'

type Ask = { local: { ip: string; port: number }; options: Parameters<PortMapper['map']>[1] }

/** A mapper whose router is the test: what is asked, and what to say. */
class Router implements PortMapper {
  readonly asked: Ask[] = []
  answer: (ask: Ask) => Promise<PortMapping | undefined> = async () => undefined

  map(local: Ask['local'], options: Ask['options']): Promise<PortMapping | undefined> {
    const ask = { local, options }
    this.asked.push(ask)
    return this.answer(ask)
  }
}

const EXTERNAL = { ip: '203.0.113.9', port: 40_000 }
const open: IceTransport[] = []
afterEach(() => Promise.all(open.splice(0).map((transport) => transport.close())))

/** A machine without a network has nothing to map. */
const own = hostAddresses().find(
  ({ family, kind, ip }) => family === 4 && kind === 'ordinary' && addressScope(ip) === 'private',
)

describe.runIf(own)('mapped candidates', () => {
  test('are signalled before the end of candidates, which waits for the router', async () => {
    const router = new Router()
    let say: (mapping: PortMapping | undefined) => void = () => {}
    router.answer = () => new Promise((resolve) => (say = resolve))
    const [transport, lines] = gather({ portMapper: router })
    await settled()
    expect(lines).not.toContain(null)
    expect(router.asked.map(({ local }) => local.ip)).toEqual([own!.ip])
    say({ external: EXTERNAL, protocol: 'pcp' })
    await settled()
    const [host] = transport.getLocalCandidates()
    expect(lines.slice(-2)).toEqual([
      expect.stringMatching(
        new RegExp(
          `^candidate:\\S+ 1 udp \\d+ 203\\.0\\.113\\.9 40000 typ srflx raddr ${own!.ip} rport ${host!.address.port} `,
        ),
      ),
      null,
    ])
    expect(transport.gatheringState).toBe('complete')
    expect(transport.agentLog).toContainEqual(expect.objectContaining({ event: 'mapped', reason: 'pcp' }))
  })

  test('follow the router: lost, made anew, moved; after an ICE restart too', async () => {
    const router = new Router()
    router.answer = async () => ({ external: EXTERNAL })
    const [transport] = gather({ portMapper: router })
    await settled()
    expect(external(transport)).toEqual([40_000])
    const { onchange, onwarning } = router.asked[0]!.options
    onwarning('port 1900 is taken')
    expect(transport.agentLog).toContainEqual(expect.objectContaining({ reason: 'port 1900 is taken' }))
    onchange(undefined, 'the router was restarted')
    expect(external(transport)).toEqual([])
    onchange({ external: { ...EXTERNAL, port: 40_001 } }, 'mapped by upnp')
    expect(external(transport)).toEqual([40_001])
    transport.restart()
    expect(external(transport)).toEqual([40_001])
    expect(router.asked).toHaveLength(1)
  })

  test('are given back on close, and nothing is heard afterwards', async () => {
    const router = new Router()
    router.answer = async () => ({ external: EXTERNAL })
    const [transport, lines] = gather({ portMapper: router })
    await settled()
    const { signal, onchange } = router.asked[0]!.options
    expect(signal.aborted).toBe(false)
    await transport.close()
    expect(signal.aborted).toBe(true)
    const { length } = lines
    onchange({ external: { ...EXTERNAL, port: 40_001 } }, 'late')
    expect(lines).toHaveLength(length)
  })

  test('a mapper that throws costs nothing but the mapping', async () => {
    const router = new Router()
    router.answer = () => Promise.reject(new Error('closed'))
    const [transport, lines] = gather({ portMapper: router })
    await settled()
    expect(lines.at(-1)).toBe(null)
    expect(transport.agentLog).toContainEqual(expect.objectContaining({ event: 'not-mapped', reason: 'closed' }))
  })

  test('beside a 1:1 NAT that is configured', async () => {
    const router = new Router()
    router.answer = async () => ({ external: EXTERNAL })
    const [transport] = gather({ portMapper: router, externalAddresses: '198.51.100.1' })
    await settled()
    expect(external(transport)).toHaveLength(2)
    router.asked[0]!.options.onchange(undefined, 'lost')
    expect(external(transport)).toHaveLength(1)
  })

  test('a mapper may look whether its mapping forwards: STUN over the very socket, and what is not ICE’s comes back', async () => {
    const router = new Router()
    router.answer = async () => ({ external: EXTERNAL })
    const server = createSocket('udp4').bind(0, own!.ip)
    await once(server, 'listening')
    const { port } = server.address()
    const [transport] = gather({ portMapper: router, iceServers: [{ urls: `stun:${own!.ip}:${port}` }] })
    await settled()
    const { probe } = router.asked[0]!.options
    expect(probe.servers()).toEqual([{ ip: own!.ip, port }])
    server.on('message', (bytes, from) => server.send(bytes, from.port, from.address))
    const answered = new Promise<[Uint8Array, { ip: string; port: number }]>((resolve) => {
      probe.onpacket = (bytes, remote) => resolve([bytes, remote])
    })
    const attributes = { changeRequest: { changeIp: true, changePort: true } }
    const sent = encode({ method: 'binding', class: 'success', transactionId: 'of the probe', attributes })
    probe.send(sent, { ip: own!.ip, port })
    const [bytes, remote] = await answered
    expect(decode(bytes)?.transactionId).toBe('of the probe')
    expect(remote).toEqual({ ip: own!.ip, port })
    expect(transport.state).toBe('new')
    server.close()
  })

  test('a relay-only transport asks no router', async () => {
    const router = new Router()
    gather({ portMapper: router, gatherPolicy: 'relay' })
    await settled()
    expect(router.asked).toEqual([])
  })
})

test('what a router can stand before: not loopback, link-local, virtual or public IPv4 addresses, and two of a family', () => {
  const socket = (ip: string, kind: string) =>
    ({ host: { ip, kind, family: ip.includes(':') ? 6 : 4 } }) as unknown as UdpSocket
  const sockets = [
    socket('192.168.1.2', 'ordinary'),
    socket('2001:db8::1', 'ordinary'),
    socket('fe80::1%eth0', 'ordinary'),
    socket('8.8.8.8', 'ordinary'),
    socket('172.17.0.1', 'virtual'),
    socket('127.0.0.1', 'loopback'),
    socket('10.8.0.2', 'vpn'),
    socket('100.64.0.2', 'ordinary'),
    socket('10.0.0.2', 'ordinary'),
  ]
  const eligible = PortMappings.eligible(sockets).map(({ host }) => host.ip)
  expect(eligible).toEqual(['192.168.1.2', '100.64.0.2', '2001:db8::1'])
})

function gather(options: IceTransportOptions): [IceTransport, (string | null)[]] {
  const transport = new IceTransport({ interfaceFilter: ({ ip }) => ip === own!.ip, tcp: false, ...options })
  open.push(transport)
  const lines: (string | null)[] = []
  transport.addEventListener('icecandidate', ({ candidate }) => lines.push(candidate?.candidate ?? null))
  transport.gather()
  return [transport, lines]
}

function external(transport: IceTransport): number[] {
  return transport.getLocalCandidates().flatMap(({ type, address }) => (type === 'srflx' ? [address.port] : []))
}

async function settled(): Promise<void> {
  for (let round = 0; round < 3; round++) await new Promise(setImmediate)
}
