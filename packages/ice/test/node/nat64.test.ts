import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { decode, type Packet } from '@floe/stun'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
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

  describe('on a network with several translators', () => {
    const through = (choice: number, { port } = PEER) => ({ ip: `2001:db8:${choice}::198.51.100.9`, port })
    const several = {
      count: 2,
      toIpv6: (ip: string, choice = 0) => `2001:db8:${choice}::${ip}`,
      toIpv4: (ip: string) => /^2001:db8:[01]::(.*)/.exec(ip)?.[1],
    }

    function started() {
      const { edge, received } = setUp()
      edge.use(several)
      const ways = (count: number, remote = PEER) => Array.from({ length: count }, () => edge.outward(remote))
      return { edge, received, ways }
    }

    test('the first one is as good as alone while it answers', () => {
      const { edge, ways } = started()
      expect(ways(1)).toEqual([through(0)])
      arrive(edge, through(0))
      for (let i = 0; i < 10; i++) {
        expect(ways(10)).toEqual(Array(10).fill(through(0)))
        arrive(edge, through(0))
      }
    })

    test('one that is dead costs the first packet of each destination, until the other has answered', () => {
      const { edge, received, ways } = started()
      const other = { ...PEER, port: 10 }
      expect(ways(3)).toEqual([through(0), through(1), through(0)])
      expect(ways(2, other)).toEqual([through(0, other), through(1, other)])
      arrive(edge, through(1, other))
      expect(received).toEqual([other])
      expect(ways(4)).toEqual(Array(4).fill(through(1)))
    })

    test('a peer that was the first to send is heard as soon as it was answered', () => {
      const { edge, ways } = started()
      // The same object as long as nobody else sends: so it comes from the socket.
      const wire = through(1)
      arrive(edge, wire)
      expect(ways(2)).toEqual([through(0), through(1)])
      arrive(edge, wire)
      expect(ways(10)).toEqual(Array(10).fill(through(1)))
    })

    test('a search through a thousand ports makes nobody unheard', () => {
      const clock = vi.spyOn(performance, 'now').mockReturnValue(0)
      onTestFinished(() => clock.mockRestore())
      const { edge, ways } = started()
      const other = { ...PEER, port: 10 }
      ways(1, other)
      arrive(edge, through(0, other))
      for (let port = 10_000; port < 11_024; port++) ways(1, { ...PEER, port })
      for (let now = 0; now < 60_000; now += 5_000) {
        clock.mockReturnValue(now)
        expect(ways(20)).toEqual(Array(20).fill(through(0)))
        arrive(edge, through(0))
      }
    })

    test('what one alone can reach says nothing of the other, which is known for it as well', () => {
      const { edge } = setUp()
      // The first has the well-known prefix, which is not for private addresses (RFC 6052 §3.1).
      edge.use({ ...several, toIpv6: (ip, choice = 0) => several.toIpv6(ip, ip.startsWith('10.') ? 1 : choice) })
      const server = { ip: '10.0.0.1', port: 3478 }
      const wire = edge.outward(server)
      expect(wire.ip).toBe('2001:db8:1::10.0.0.1')
      arrive(edge, wire)
      expect([edge.outward(PEER), edge.outward(PEER)]).toEqual([through(0), through(1)])
    })

    test('one that dies later is left when it has been silent for a while, and nobody else decides that', () => {
      const clock = vi.spyOn(performance, 'now').mockReturnValue(0)
      onTestFinished(() => clock.mockRestore())
      const { edge, ways } = started()
      ways(1)
      arrive(edge, through(0))
      // Nothing was sent there: it may be anybody's.
      arrive(edge, through(1, { ...PEER, port: 99 }))
      // Data in one direction is no silence.
      expect(ways(1_000)).toEqual(Array(1_000).fill(through(0)))
      arrive(edge, through(0))
      expect(ways(12)).toEqual(Array(12).fill(through(0)))
      clock.mockReturnValue(16_000)
      expect(ways(12)).toEqual(Array(12).fill(through(1)))
    })
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
