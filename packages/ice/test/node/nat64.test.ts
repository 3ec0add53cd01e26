import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { decode, type Packet } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { type IceCandidateErrorEvent, IceTransport, type IceTransportOptions } from '../../src/node/index.ts'
import type { InterfaceAddress } from '../../src/node/interfaces.ts'
import { isIpv6Only, Nat64Edge } from '../../src/node/nat64.ts'
import { next } from './connect.ts'
import { inPrivateNetwork } from './private-network.ts'

const TRANSLATOR = {
  toIpv6: (ip: string) => `2001:db8:64::${ip}`,
  toIpv4: (ip: string) => (ip.startsWith('2001:db8:64::') ? ip.slice('2001:db8:64::'.length) : undefined),
}
const PEER = { ip: '198.51.100.9', port: 9 }
const ON_WIRE = { ip: '2001:db8:64::198.51.100.9', port: 9 }

describe('the edge', () => {
  test('IPv4 peers have their own address inside, and the translator’s on the wire', () => {
    const { edge, received } = setUp()
    edge.use(TRANSLATOR)
    expect(edge.outward(PEER)).toEqual(ON_WIRE)
    expect(edge.outward(PEER)).toBe(edge.outward(PEER))
    arrive(edge, ON_WIRE)
    arrive(edge, { ...ON_WIRE, port: 10 })
    expect(received).toEqual([PEER, { ...PEER, port: 10 }])
  })

  test('what the agent itself addresses by IPv6 stays so, port by port', () => {
    const { edge, received } = setUp()
    const server = { ip: '2001:db8:64::192.0.2.1', port: 3478 }
    expect(edge.outward(server)).toBe(server)
    edge.use(TRANSLATOR)
    arrive(edge, { ...server })
    arrive(edge, { ...server, port: 50_000 })
    expect(received).toEqual([server, { ip: '192.0.2.1', port: 50_000 }])
  })

  test('nothing changes before a translator is known, nor for other addresses; what is known later counts at once', () => {
    const { edge, received } = setUp()
    const peer = { ip: '2001:db8::1', port: 1 }
    arrive(edge, peer)
    arrive(edge, ON_WIRE)
    edge.use(TRANSLATOR)
    arrive(edge, peer)
    arrive(edge, ON_WIRE)
    expect(received).toEqual([peer, ON_WIRE, peer, PEER])
    expect(edge.outward(peer)).toBe(peer)
  })
})

test.each([
  [['2001:db8::1'], true],
  [['2001:db8::1', 'fe80::1%eth0', '169.254.1.1'], true],
  [['2001:db8::1', '192.168.1.2'], false],
  [['2001:db8::1', '192.0.0.4'], false],
  [['fe80::1%eth0'], false],
  [['127.0.0.1', '::1'], false],
])('whether a host with %j has no IPv4 but IPv6: %s', (ips, expected) => {
  const hosts = ips.map((ip) => {
    const kind = ip === '::1' || ip.startsWith('127.') ? 'loopback' : 'ordinary'
    return { ip, kind } as InterfaceAddress
  })
  expect(isIpv6Only(hosts)).toBe(expected)
})

describe.runIf(inPrivateNetwork)('relays alone, on a host without IPv4', () => {
  const HERE = 'fd77::1'
  const options: IceTransportOptions = { gatherPolicy: 'relay', interfaceFilter: ({ ip }) => ip === HERE }
  const credentials = { username: 'u', credential: 'p' }

  test('an IPv4 TURN server is asked over UDP by way of the NAT64', async () => {
    const server = createSocket('udp6')
    server.bind(0, HERE)
    await once(server, 'listening')
    const nat64 = async () => ({ toIpv6: () => HERE, toIpv4: () => '192.0.2.9' })
    const iceServers = [{ urls: `turn:192.0.2.9:${server.address().port}`, ...credentials }]
    await using a = new IceTransport({ ...options, nat64, iceServers })
    const asked = once(server, 'message')
    a.gather()
    expect(decode((await asked)[0])?.method).toBe('allocate')
    server.close()
  })

  test('and over TCP', async () => {
    const server = createServer((socket) => socket.destroy()).listen(0, HERE)
    await once(server, 'listening')
    const nat64 = async () => ({ toIpv6: () => HERE, toIpv4: () => '192.0.2.9' })
    const { port } = server.address() as AddressInfo
    const iceServers = [{ urls: `turn:192.0.2.9:${port}?transport=tcp`, ...credentials }]
    await using a = new IceTransport({ ...options, nat64, iceServers })
    const asked = once(server, 'connection')
    a.gather()
    await asked
    server.close()
  })

  test('without a NAT64 the server is named as out of reach, and gathering ends', async () => {
    const iceServers = [{ urls: 'turn:192.0.2.9', ...credentials }]
    await using a = new IceTransport({ ...options, nat64: async () => undefined, iceServers })
    const ended = next(a, 'gatheringstatechange', () => a.gatheringState === 'complete')
    const failed = next<IceCandidateErrorEvent>(a, 'icecandidateerror')
    a.gather()
    expect((await failed).errorText).toContain('no local IPv4 address')
    await ended
  })
})

function setUp() {
  const received: Packet['remote'][] = []
  const handlePacket = ({ remote }: Packet) => received.push(remote)
  return { edge: new Nat64Edge({ handlePacket, handleSocketError() {}, handleSocketDeath() {} }), received }
}

function arrive(edge: Nat64Edge, remote: Packet['remote']): void {
  edge.handlePacket({ protocol: 'udp', local: { ip: '2001:db8::2', port: 5000 }, remote, bytes: Uint8Array.of(1) })
}
