/** Long sessions, busy programs, and peers that do what honest ones seldom do: nothing adds up, and nothing is given up early. */
import { type Address, type Attributes, decode, encode, newTransactionId, type Packet, shortTermKey } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { type AgentOptions, type Candidate, IceAgent, type LocalBase } from '../src/index.ts'
import { Side, seeded, Wire } from './wire.ts'

const HERE: Address = { ip: '10.0.0.1', port: 1000 }
const THERE: Address = { ip: '10.0.0.2', port: 2000 }
const PEER = { usernameFragment: 'peer', password: 'p'.repeat(24) }
const CANDIDATE: Candidate = {
  type: 'host',
  protocol: 'udp',
  address: THERE,
  foundation: '1',
  component: 1,
  priority: 1,
}

/** An agent, and a peer in the hand of the test: it says what, from where, and whether it answers. */
class Encounter {
  now = 0
  readonly agent: IceAgent
  /** Where the peer sees the agent; `undefined`: it does not answer. */
  sees: (request: Packet) => Address | undefined = () => HERE
  /** Requests of the agent's with their times. */
  readonly requests: { readonly at: number; readonly packet: Packet }[] = []
  readonly responses: Packet[] = []
  readonly #random = seeded(7)
  #peer = PEER

  constructor(options: Partial<AgentOptions> = {}, bases: readonly LocalBase[] = [{ address: HERE }]) {
    this.agent = new IceAgent({ random: seeded(3), role: 'controlled', ...options })
    this.agent.gather(0, bases)
    this.agent.start(0, PEER)
    this.drain()
  }

  /** The agent restarts, and so does the peer. */
  restart(peer: typeof PEER): void {
    this.agent.restart(this.now)
    this.agent.start(this.now, peer)
    this.#peer = peer
    this.drain()
  }

  check(from: Address, attributes: Attributes = {}, integrity: 'sha1' | 'sha256' = 'sha1', local = HERE): void {
    const { usernameFragment, password } = this.agent.localParameters
    const username = `${usernameFragment}:${this.#peer.usernameFragment}`
    const bytes = encode(
      {
        method: 'binding',
        class: 'request',
        transactionId: newTransactionId(this.#random),
        attributes: { username, priority: 1, iceControlling: 5n, ...attributes },
      },
      { key: shortTermKey(password), integrity, fingerprint: true },
    )
    this.agent.handlePacket(this.now, { protocol: 'udp', local, remote: from, bytes })
    this.drain()
  }

  /** Lets time pass; `each` is called every `step` ms. */
  run(until: number, step = Number.POSITIVE_INFINITY, each: () => void = () => {}): void {
    for (let next = this.now + step; this.now < until; ) {
      this.now = Math.min(until, next, Math.max(this.now, this.agent.timeout()))
      if (this.agent.timeout() <= this.now) this.agent.handleTimeout(this.now)
      this.drain()
      if (this.now < next) continue
      next += step
      each()
    }
  }

  drain(): void {
    for (let output = this.agent.poll(); output; output = this.agent.poll()) {
      if (output.type !== 'packet') continue
      const { packet } = output
      const message = decode(packet.bytes)
      if (message?.class === 'request') this.#answer(packet)
      else this.responses.push(packet)
    }
  }

  #answer(packet: Packet): void {
    this.requests.push({ at: this.now, packet })
    const xorMappedAddress = this.sees(packet)
    if (!xorMappedAddress) return
    const { transactionId } = decode(packet.bytes)!
    const bytes = encode(
      { method: 'binding', class: 'success', transactionId, attributes: { xorMappedAddress } },
      { key: shortTermKey(this.#peer.password), fingerprint: true },
    )
    this.agent.handlePacket(this.now, { protocol: 'udp', local: packet.local, remote: packet.remote, bytes })
  }
}

describe('a peer that is hard to reach', () => {
  test.each(['sha1', 'sha256'] as const)('is answered by the integrity that it asks with: %s', (integrity) => {
    const encounter = new Encounter()
    encounter.check(THERE, {}, integrity)
    const answer = decode(encounter.responses[0]!.bytes)!
    expect([answer.class, answer.sha256Offset !== 0]).toEqual(['success', integrity === 'sha256'])
  })

  test('a pair is checked for as long as the peer checks it, a second apart once the first ones were in vain', () => {
    const encounter = new Encounter()
    encounter.sees = () => (encounter.now < 25_000 ? undefined : HERE)
    encounter.run(24_000, 100, () => encounter.check(THERE))
    const late = encounter.requests.filter(({ at }) => at > 15_000)
    // Nine seconds with ten checks of the peer's in each, and one of ours for all of them.
    expect(late.length).toBeGreaterThanOrEqual(8)
    expect(late.length).toBeLessThanOrEqual(10)
    encounter.run(28_000, 1_000, () => encounter.check(THERE, { useCandidate: true }))
    expect(encounter.agent.state).toBe('connected')
  })

  test('G63 failed waits for the PAC timer where the peer is heard, though its candidates have ended', () => {
    const failing = (isHeard: boolean) => {
      const encounter = new Encounter()
      encounter.sees = () => undefined
      encounter.agent.addRemoteCandidate(0, CANDIDATE)
      encounter.agent.addRemoteCandidate(0, null)
      if (isHeard) encounter.check(THERE)
      const states: { at: number; state: string }[] = []
      encounter.run(60_000, 250, () => states.push({ at: encounter.now, state: encounter.agent.state }))
      return states.find(({ state }) => state === 'failed')?.at
    }
    expect(failing(true)).toBe(39_500)
    expect(failing(false)).toBeLessThan(25_000)
  })
})

describe('what a long session leaves behind', () => {
  test('a NAT that rebinds every minute is followed a thousand times', { timeout: 30_000 }, () => {
    const encounter = new Encounter()
    for (let i = 0; i < 1_000; i++) {
      const from = { ip: '203.0.113.9', port: 5000 + (i % 50_000) }
      encounter.responses.length = 0
      encounter.check(from, { useCandidate: true, nomination: i + 1 })
      expect(
        encounter.responses.some(({ remote }) => remote.port === from.port),
        `rebinding ${i}`,
      ).toBe(true)
      encounter.run(encounter.now + 60_000)
    }
    expect(encounter.agent.state).toBe('connected')
    expect(encounter.agent.remoteCandidates.length).toBeLessThanOrEqual(100)
    expect(encounter.agent.checklist.length).toBeLessThanOrEqual(100)
  })

  test('a thousand new ports at once are not followed: they cost thirty-two answers, and no more for a while', () => {
    const encounter = new Encounter()
    encounter.sees = () => undefined
    for (let port = 1; port <= 1_000; port++) encounter.check({ ip: '203.0.113.9', port })
    expect(encounter.agent.remoteCandidates).toHaveLength(32)
    expect(encounter.responses).toHaveLength(32)
  })

  test('… and take the room of nobody who comes to another base: it may be the one that works', () => {
    const other: Address = { ip: '10.0.1.1', port: 1000 }
    const encounter = new Encounter({}, [{ address: HERE }, { address: other }])
    encounter.sees = () => undefined
    for (let port = 1; port <= 100; port++) encounter.check({ ip: '203.0.113.9', port })
    encounter.responses.length = 0
    for (let port = 101; port <= 200; port++) encounter.check({ ip: '203.0.113.9', port }, {}, 'sha1', other)
    expect(encounter.responses.map(({ remote }) => remote.port)).toEqual([101, 102, 103, 104])
  })

  test('a peer whose answers name another address each time fills nothing up', () => {
    const encounter = new Encounter({ role: 'controlling' })
    let port = 1024
    encounter.sees = () => ({ ip: '198.51.100.1', port: port++ })
    encounter.agent.addRemoteCandidate(0, CANDIDATE)
    encounter.drain()
    encounter.run(3_600_000)
    expect(port).toBeGreaterThan(1_500)
    expect(encounter.agent.localCandidates.filter(({ type }) => type === 'prflx')).toHaveLength(50)
    const address = { ip: '10.9.9.9', port: 7 }
    encounter.agent.gather(encounter.now, [{ address }])
    expect(encounter.agent.localCandidates.some((it) => it.type === 'host' && it.base === address)).toBe(true)
  })

  test('an address with many zones is one address', () => {
    const encounter = new Encounter({ role: 'controlling' }, [{ address: { ip: '2001:db8::1', port: 1 } }])
    for (let zone = 0; zone < 100; zone++) {
      const address = { ip: `2001:db8::99%${zone}`, port: 9999 }
      encounter.agent.addRemoteCandidate(0, { ...CANDIDATE, address, priority: zone + 1 })
    }
    expect(encounter.agent.checklist.map(({ remote }) => remote.address.ip)).toEqual(['2001:db8::99'])
  })
})

describe('a busy program', () => {
  test('G59 no byte leaves after consent has run out, however late the timer is', () => {
    const encounter = new Encounter()
    encounter.check(THERE, { useCandidate: true })
    expect(encounter.agent.send(10, Uint8Array.of(99))).toBe(true)
    encounter.drain()
    encounter.sees = () => undefined
    expect(encounter.agent.send(29_999, Uint8Array.of(99))).toBe(true)
    expect(encounter.agent.send(30_001, Uint8Array.of(99))).toBe(false)
  })
})

describe('restarts', () => {
  test('H66 a second one before the first has a path leaves data where it flows', () => {
    const wire = new Wire(new Side(1, ['10.0.0.1']), new Side(2, ['10.0.0.2']))
    wire.latency = 5
    wire.connect()
    wire.run(1_000)
    const [a, b] = wire.sides
    const old = a.agent.selectedPair
    const restart = () => {
      for (const { agent } of wire.sides) agent.restart(wire.now)
    }
    restart()
    // The parameters of the first have come, its candidates have not.
    a.agent.start(wire.now, b.agent.localParameters)
    b.agent.start(wire.now, a.agent.localParameters)
    restart()
    for (let second = 0; second < 60; second++) {
      wire.run(1_000)
      expect(a.agent.send(wire.now, Uint8Array.of(99)), `second ${second}`).toBe(true)
    }
    expect(a.agent.selectedPair).toBe(old)
    expect(b.all('data')).toHaveLength(59)
  })

  test('H65 the peer may count its nominations from one again', () => {
    const encounter = new Encounter()
    encounter.check(THERE, { useCandidate: true, nomination: 9 })
    encounter.now = 100
    encounter.restart({ usernameFragment: 'next', password: 'q'.repeat(24) })
    encounter.check(THERE, { useCandidate: true, nomination: 1 })
    expect(encounter.agent.selectedPair?.id).toBe('1.0')
    const elsewhere = { ...THERE, port: 2001 }
    encounter.check(elsewhere, { useCandidate: true, nomination: 2 })
    expect(encounter.agent.selectedPair?.remote.address).toEqual(elsewhere)
  })

  test('B22 the end of candidates that overtakes its restart counts for the restart', () => {
    const encounter = new Encounter()
    const next = { usernameFragment: 'next', password: 'q'.repeat(24) }
    encounter.check(THERE, { useCandidate: true })
    encounter.agent.addRemoteCandidate(10, { ...CANDIDATE, usernameFragment: 'next' })
    encounter.agent.addRemoteCandidate(10, null)
    expect(encounter.agent.state).toBe('connected')
    encounter.restart(next)
    encounter.check(THERE, { useCandidate: true })
    expect(encounter.agent.state).toBe('completed')
  })
})

describe('servers', () => {
  const server = { scheme: 'stun', address: { ip: '192.0.2.1', port: 3478 }, url: 'stun:192.0.2.1' } as const

  function asked(mapped: (nth: number) => Address | undefined) {
    const agent = new IceAgent({ random: seeded(1) })
    let requests = 0
    const drain = (now: number) => {
      for (let output = agent.poll(); output; output = agent.poll()) {
        if (output.type !== 'packet') continue
        const { transactionId } = decode(output.packet.bytes)!
        const xorMappedAddress = mapped(requests++)
        if (!xorMappedAddress) continue
        const bytes = encode({ method: 'binding', class: 'success', transactionId, attributes: { xorMappedAddress } })
        agent.handlePacket(now, { ...output.packet, bytes })
      }
    }
    agent.gather(0, [{ address: HERE }], [server])
    for (let now = 0; now < 120_000; now = Math.max(now + 1, agent.timeout())) {
      agent.handleTimeout(now)
      drain(now)
    }
    return { agent, requests: () => requests }
  }

  test('one lost refresh does not let the mapping go', () => {
    const { requests } = asked((nth) => (nth === 0 || nth > 5 ? { ip: '198.51.100.7', port: 4000 } : undefined))
    // The first, five sends of the refresh that is lost, and one every 15 s from then on.
    expect(requests()).toBeGreaterThanOrEqual(11)
    expect(requests()).toBeLessThanOrEqual(13)
  })

  test.each([
    { ip: '0.0.0.0', port: 5 },
    { ip: '224.0.0.1', port: 5 },
    { ip: '198.51.100.7', port: 0 },
  ])('$ip:$port is nobody’s address, and no candidate', (mapped) => {
    const { agent } = asked(() => mapped)
    expect(agent.localCandidates.map(({ type }) => type)).toEqual(['host'])
  })
})
