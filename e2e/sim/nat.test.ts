import { type Address, decode, encode, newTransactionId } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import type { Dependence, NatBehavior } from '../topology/behavior.ts'
import { MAPPING_TIMEOUT } from './nat.ts'
import { synthesized } from './nat64.ts'
import { Network, Realm, type Socket } from './network.ts'
import { Router } from './router.ts'
import { STUN_PORT, StunServer } from './stun-server.ts'

const DEPENDENCES = ['endpoint-independent', 'address-dependent', 'address-and-port-dependent'] as const
const EXTERNAL = '198.51.100.1'

describe('RFC 5780 discovery finds what was built', () => {
  for (const mapping of DEPENDENCES)
    for (const filtering of DEPENDENCES)
      for (const allocation of ['preserve', 'sequential', 'random'] as const)
        test(`mapping ${mapping}, filtering ${filtering}, ports ${allocation}`, () => {
          const lan = new Lan({ mapping, filtering, allocation })
          expect(lan.discoverMapping(lan.socket())).toBe(mapping)
          expect(lan.discoverFiltering(lan.socket())).toBe(filtering)
        })
})

test('port allocation: preserve keeps the port unless it is taken, sequential counts up, random does neither', () => {
  const ports = (allocation: 'preserve' | 'sequential' | 'random') => {
    const lan = new Lan({ mapping: 'endpoint-independent', filtering: 'endpoint-independent', allocation })
    return [5000, 5001, 5002, 5003].map((port) => lan.mapped(lan.socket(port))!.port)
  }
  expect(ports('preserve')).toEqual([5000, 5001, 5002, 5003])
  const [first, ...rest] = ports('sequential')
  expect(rest).toEqual([first! + 1, first! + 2, first! + 3])
  const random = ports('random')
  expect(new Set(random).size).toBe(4)
  expect(random.some((port, i) => port !== 5000 + i)).toBe(true)
})

test('two hosts with one port behind a preserving NAT get different external ports', () => {
  const lan = new Lan({ mapping: 'endpoint-independent', filtering: 'endpoint-independent' })
  const first = lan.mapped(lan.socket(5000))!
  const second = lan.mapped(lan.socket(5000, '10.0.0.3'))!
  expect(first).toEqual({ ip: EXTERNAL, port: 5000 })
  expect(second.port).not.toBe(5000)
})

test('a mapping dies after its timeout, outbound packets refresh it, inbound ones do not', () => {
  const mapping = 'address-and-port-dependent'
  const lan = new Lan({ mapping, filtering: 'endpoint-independent', allocation: 'random' })
  const socket = lan.socket()
  const first = lan.mapped(socket)
  lan.pass(MAPPING_TIMEOUT - 1000)
  expect(lan.mapped(socket)).toEqual(first)
  lan.pass(MAPPING_TIMEOUT - 1000)
  expect(lan.reaches(first!, socket)).toBe(true)
  lan.pass(2000)
  expect(lan.reaches(first!, socket)).toBe(false)
  expect(lan.mapped(socket)).not.toEqual(first)
})

test('a flushed NAT has forgotten all mappings', () => {
  const lan = new Lan({ mapping: 'endpoint-independent', filtering: 'endpoint-independent', allocation: 'random' })
  const socket = lan.socket()
  const first = lan.mapped(socket)!
  lan.router.nat!.flush()
  expect(lan.reaches(first, socket)).toBe(false)
  expect(lan.mapped(socket)).not.toEqual(first)
})

test('hairpinning: none drops, internal shows the inside source, external the mapped one', () => {
  const seen = (hairpin: NonNullable<NatBehavior['hairpin']>) => {
    const lan = new Lan({ mapping: 'endpoint-independent', filtering: 'endpoint-independent', hairpin })
    const a = lan.socket(5000)
    const b = lan.socket(6000, '10.0.0.3')
    const target = lan.mapped(b)!
    let source: Address | undefined
    b.onpacket = ({ remote }) => {
      source = remote
    }
    a.send(target, new Uint8Array(1))
    lan.pass(1)
    return source
  }
  expect(seen('none')).toBeUndefined()
  expect(seen('internal')).toEqual({ ip: '10.0.0.2', port: 5000 })
  expect(seen('external')).toEqual({ ip: EXTERNAL, port: 5000 })
})

test('hairpinned packets are filtered like others', () => {
  const lan = new Lan({ mapping: 'endpoint-independent', filtering: 'address-and-port-dependent', hairpin: 'external' })
  const a = lan.socket(5000)
  const b = lan.socket(6000, '10.0.0.3')
  const [fromA, fromB] = [lan.mapped(a)!, lan.mapped(b)!]
  const got: string[] = []
  a.onpacket = () => got.push('a')
  b.onpacket = () => got.push('b')
  a.send(fromB, new Uint8Array(1))
  lan.pass(1)
  b.send(fromA, new Uint8Array(1))
  lan.pass(1)
  a.send(fromB, new Uint8Array(1))
  lan.pass(1)
  expect(got).toEqual(['a', 'b'])
})

describe('allocation, limits and lifetimes', () => {
  const EIM_EIF = { mapping: 'endpoint-independent', filtering: 'endpoint-independent' } as const
  const APDM = { mapping: 'address-and-port-dependent', filtering: 'address-and-port-dependent' } as const

  test('a block: only its ports, and nothing more when they are all in use', () => {
    const lan = new Lan({ ...EIM_EIF, allocation: { low: 20_000, high: 20_003 } })
    const ports = Array.from({ length: 5 }, () => lan.mapped(lan.socket())?.port)
    expect(ports.slice(0, 4).toSorted()).toEqual([20_000, 20_001, 20_002, 20_003])
    expect(ports[4]).toBeUndefined()
    expect(lan.network.trace.format()).toContain('no free port')
  })

  test('a quota counts per inside host', () => {
    const lan = new Lan({ ...EIM_EIF, portQuota: 2 })
    expect(lan.mapped(lan.socket())).toBeDefined()
    expect(lan.mapped(lan.socket())).toBeDefined()
    expect(lan.mapped(lan.socket())).toBeUndefined()
    expect(lan.mapped(lan.socket(5000, '10.0.0.3'))).toBeDefined()
    expect(lan.network.trace.format()).toContain('port quota reached')
  })

  test('a maximum lifetime ends a mapping in the middle of traffic', () => {
    const lan = new Lan({ ...EIM_EIF, allocation: 'random', maximumLifetime: 60_000 })
    const socket = lan.socket()
    const first = lan.mapped(socket)
    for (let second = 0; second < 50; second++) {
      lan.pass(1_000)
      expect(lan.mapped(socket)).toEqual(first)
    }
    lan.pass(10_000)
    expect(lan.mapped(socket)).not.toEqual(first)
  })

  test('a mapping without an answer dies sooner', () => {
    const lan = new Lan({ ...EIM_EIF, unrepliedTimeout: 30_000 })
    const [answered, unanswered] = [lan.socket(5000), lan.socket(6000)]
    lan.mapped(answered)
    lan.mapped(answered)
    unanswered.send({ ip: '203.0.113.99', port: 9 }, new Uint8Array(1))
    lan.pass(40_000)
    expect(lan.reaches({ ip: EXTERNAL, port: 5000 }, answered)).toBe(true)
    expect(lan.reaches({ ip: EXTERNAL, port: 6000 }, unanswered)).toBe(false)
  })

  test('inbound packets refresh where the NAT says so', () => {
    for (const inboundRefresh of [false, true]) {
      const lan = new Lan({ ...EIM_EIF, inboundRefresh })
      const socket = lan.socket(5000)
      lan.mapped(socket)
      lan.pass(MAPPING_TIMEOUT - 1_000)
      expect(lan.reaches({ ip: EXTERNAL, port: 5000 }, socket)).toBe(true)
      lan.pass(2_000)
      expect(lan.reaches({ ip: EXTERNAL, port: 5000 }, socket)).toBe(inboundRefresh)
    }
  })

  test('a new external address: the old one is nobody, the new one is learnt', () => {
    const lan = new Lan(EIM_EIF)
    const socket = lan.socket(5000)
    expect(lan.mapped(socket)).toEqual({ ip: EXTERNAL, port: 5000 })
    lan.router.renumber('198.51.100.77')
    expect(lan.reaches({ ip: EXTERNAL, port: 5000 }, socket)).toBe(false)
    expect(lan.mapped(socket)).toEqual({ ip: '198.51.100.77', port: 5000 })
  })

  test('a static mapping is unfiltered, fixed for all destinations, and survives a reboot', () => {
    const lan = new Lan({ ...APDM, allocation: 'random' })
    const socket = lan.socket(5000)
    const external = lan.router.nat!.map(socket.address)
    expect(lan.reaches(external, socket)).toBe(true)
    lan.router.reboot()
    expect(lan.reaches(external, socket)).toBe(true)
    expect(lan.mapped(socket)).toEqual(external)
    expect(lan.mapped(socket, '192.0.2.2')).toEqual(external)
  })

  test('overloading keeps the port towards everybody, and two hosts may hold it as long as their peers differ', () => {
    const lan = new Lan({ ...APDM, overloading: true })
    expect(lan.discoverMapping(lan.socket(5000))).toBe('endpoint-independent')
    const other = lan.socket(5000, '10.0.0.3')
    expect(lan.mapped(other)!.port).not.toBe(5000)
    expect(lan.mapped(other, '192.0.2.2', STUN_PORT)!.port).not.toBe(5000)
    const fresh = lan.socket(6000)
    expect(lan.mapped(fresh)!.port).toBe(6000)
    expect(lan.mapped(lan.socket(6000, '10.0.0.3'), '192.0.2.2')!.port).toBe(6000)
  })
})

test('a router that tracks unsolicited packets moves the port that they were sent to, for their sender alone', () => {
  const seen = (unsolicited: 'dropped' | 'tracked') => {
    const dependent = 'address-and-port-dependent'
    const lan = new Lan({ mapping: dependent, filtering: dependent, overloading: true, unsolicited })
    const socket = lan.socket(5000)
    expect(lan.reaches({ ip: EXTERNAL, port: 5000 }, socket)).toBe(false)
    return lan.seenByStranger(socket).port
  }
  expect(seen('dropped')).toBe(5000)
  expect(seen('tracked')).not.toBe(5000)
})

test('who sends first is not poisoned', () => {
  const dependent = 'address-and-port-dependent'
  const lan = new Lan({ mapping: dependent, filtering: dependent, overloading: true, unsolicited: 'tracked' })
  const socket = lan.socket(5000)
  expect(lan.seenByStranger(socket).port).toBe(5000)
  expect(lan.reaches({ ip: EXTERNAL, port: 5000 }, socket)).toBe(true)
})

test('NAT64 carries IPv6 hosts to IPv4 and back, and leaves IPv6 alone', () => {
  const network = new Network(1)
  const realm = new Realm(network, 'v6 only')
  const nat64: NatBehavior = { mapping: 'endpoint-independent', filtering: 'endpoint-independent' }
  new Router('v6 only', realm, network.internet, { nat64, externalIp: EXTERNAL })
  const server = new StunServer(network, 'stun', { ip: '192.0.2.1' })
  const server6 = new StunServer(network, 'stun6', { ip: '2001:db8:ffff::1' })
  const host = network.host('a')
  host.attach(realm, '2001:db8:1::2')
  const socket = host.bind('2001:db8:1::2', 5000)
  const mapped = ask(network, socket, { ip: synthesized(server.address.ip), port: STUN_PORT })
  expect(mapped).toEqual({ ip: EXTERNAL, port: 5000 })
  expect(ask(network, socket, server6.address)).toEqual(socket.address)
  let source: Address | undefined
  socket.onpacket = ({ remote }) => {
    source = remote
  }
  server.host.bind('192.0.2.1', 7).send(mapped!, new Uint8Array(1))
  network.clock.runTo(10)
  expect(source).toEqual({ ip: '64:ff9b::c000:201', port: 7 })
})

test('a NAT behind a NAT translates twice', () => {
  const network = new Network(1)
  const behavior: NatBehavior = { mapping: 'endpoint-independent', filtering: 'endpoint-independent' }
  const carrier = new Realm(network, 'carrier')
  new Router('carrier', carrier, network.internet, { nat: behavior, externalIp: EXTERNAL })
  const home = new Realm(network, 'home')
  new Router('home', home, carrier, { nat: behavior, externalIp: '100.64.0.9' })
  const server = new StunServer(network, 'stun', { ip: '192.0.2.1' })
  const host = network.host('a')
  host.attach(home, '10.0.0.2')
  const socket = host.bind('10.0.0.2', 5000)
  expect(ask(network, socket, server.address)).toEqual({ ip: EXTERNAL, port: 5000 })
  expect(network.trace.format()).toMatch(
    /home +translate #1 100.64.0.9:5000[\s\S]*carrier +translate #1 198.51.100.1:5000/,
  )
})

test('a dead server is silent, one with an error says it', () => {
  const lan = new Lan({ mapping: 'endpoint-independent', filtering: 'endpoint-independent' })
  const dead = new StunServer(lan.network, 'dead', { ip: '192.0.2.9', dead: true })
  expect(ask(lan.network, lan.socket(), dead.address)).toBeUndefined()
  expect(dead.requests).toBe(1)
  new StunServer(lan.network, 'angry', { ip: '192.0.2.10', error: { code: 500, reason: 'Server Error' } })
  expect(ask(lan.network, lan.socket(), { ip: '192.0.2.10', port: STUN_PORT })).toBeUndefined()
  expect(lan.network.trace.format()).toContain('binding error')
})

/** One NAT with two hosts behind it and an RFC 5780 server outside. */
class Lan {
  readonly network = new Network(1)
  readonly router: Router
  readonly server: StunServer
  readonly #realm: Realm
  readonly #stranger: Socket

  constructor(nat: NatBehavior) {
    this.#realm = new Realm(this.network, 'lan')
    this.router = new Router('lan', this.#realm, this.network.internet, { nat, externalIp: EXTERNAL })
    this.server = new StunServer(this.network, 'stun', { ip: '192.0.2.1', otherIp: '192.0.2.2' })
    const stranger = this.network.host('stranger')
    stranger.attach(this.network.internet, '203.0.113.77')
    this.#stranger = stranger.bind('203.0.113.77')
  }

  socket(port?: number, ip = '10.0.0.2'): Socket {
    const host = this.network.hosts.find(({ name }) => name === ip) ?? this.network.host(ip)
    if (host.attachments.length === 0) host.attach(this.#realm, ip)
    return host.bind(ip, port)
  }

  pass(ms: number) {
    this.network.clock.runTo(this.network.clock.now + ms)
  }

  mapped(socket: Socket, ip = '192.0.2.1', port = STUN_PORT): Address | undefined {
    return ask(this.network, socket, { ip, port })
  }

  /** Whether a stranger's packet to `external` comes in at `socket`. */
  reaches(external: Address, socket: Socket): boolean {
    let came = false
    socket.onpacket = () => {
      came = true
    }
    this.#stranger.send(external, new Uint8Array(1))
    this.pass(1)
    return came
  }

  /** The address that a stranger sees when the inside sends to it. */
  seenByStranger(socket: Socket): Address {
    let source: Address | undefined
    this.#stranger.onpacket = ({ remote }) => {
      source = remote
    }
    socket.send(this.#stranger.address, new Uint8Array(1))
    this.pass(1)
    return source!
  }

  /** RFC 5780 §4.3. */
  discoverMapping(socket: Socket): Dependence {
    const [first, second, third] = [
      this.mapped(socket)!,
      this.mapped(socket, '192.0.2.2')!,
      this.mapped(socket, '192.0.2.2', STUN_PORT + 1)!,
    ]
    if (first.port === second.port) return 'endpoint-independent'
    return second.port === third.port ? 'address-dependent' : 'address-and-port-dependent'
  }

  /** RFC 5780 §4.4. */
  discoverFiltering(socket: Socket): Dependence {
    const answered = (changeIp: boolean, changePort: boolean) =>
      ask(this.network, socket, this.server.address, { changeIp, changePort }) !== undefined
    answered(false, false)
    if (answered(true, true)) return 'endpoint-independent'
    return answered(false, true) ? 'address-dependent' : 'address-and-port-dependent'
  }
}

/** One Binding request, one answer or none. */
function ask(
  network: Network,
  socket: Socket,
  server: Address,
  changeRequest?: { changeIp: boolean; changePort: boolean },
): Address | undefined {
  let mapped: Address | undefined
  socket.onpacket = ({ bytes }) => {
    mapped = decode(bytes)?.attributes.xorMappedAddress
  }
  const transactionId = newTransactionId(network.random.bytes)
  const attributes = changeRequest ? { changeRequest } : {}
  socket.send(server, encode({ method: 'binding', class: 'request', transactionId, attributes }))
  network.clock.runTo(network.clock.now + 1)
  return mapped
}
