import type { Packet } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { isIpv6Only, Nat64Edge } from '../../src/node/nat64.ts'
import type { UdpSocket } from '../../src/node/sockets.ts'

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
  const sockets = ips.map((ip) => {
    const kind = ip === '::1' || ip.startsWith('127.') ? 'loopback' : 'ordinary'
    return { host: { ip, kind } } as unknown as UdpSocket
  })
  expect(isIpv6Only(sockets)).toBe(expected)
})

function setUp() {
  const received: Packet['remote'][] = []
  const handlePacket = ({ remote }: Packet) => received.push(remote)
  return { edge: new Nat64Edge({ handlePacket, handleSocketError() {} }), received }
}

function arrive(edge: Nat64Edge, remote: Packet['remote']): void {
  edge.handlePacket({ protocol: 'udp', local: { ip: '2001:db8::2', port: 5000 }, remote, bytes: Uint8Array.of(1) })
}
