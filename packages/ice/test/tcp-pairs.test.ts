import type { Address, Packet } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { type AgentOutput, type Candidate, IceAgent, type IceRole, TIMING } from '../src/index.ts'
import { seeded } from './wire.ts'

/** One TCP connection as its two ends name it. */
interface Cable {
  readonly active: Address
  readonly passive: Address
  readonly source: Address
  /** The network has forgotten it, and tells neither end: what is sent gets lost. */
  isSilent?: boolean
}

/** Two agents that reach each other over TCP alone, in virtual time and without latency: B listens, A connects. */
class TcpWorld {
  now = 0
  readonly a: IceAgent
  readonly b: IceAgent
  readonly cables: Cable[] = []
  readonly requested: Address[] = []
  /** Whether the network lets new connections through. */
  open: boolean
  heard: string[] = []
  /** Of either end. */
  states: string[] = []
  #ports = 50_000

  constructor({ open = true, role = 'controlling' }: { open?: boolean; role?: IceRole } = {}) {
    this.open = open
    this.a = new IceAgent({ random: seeded(1), role })
    this.b = new IceAgent({ random: seeded(2), role: role === 'controlled' ? 'controlling' : 'controlled' })
    this.a.gather(0, [{ address: { ip: '10.0.0.1', port: 9 }, tcpType: 'active' }])
    this.b.gather(0, [{ address: { ip: '10.0.0.2', port: 443 }, tcpType: 'passive' }])
    this.a.start(0, this.b.localParameters)
    this.b.start(0, this.a.localParameters)
    this.settle()
  }

  settle(): void {
    for (let busy = true; busy; ) {
      busy = false
      for (const [agent, other] of [[this.a, this.b] as const, [this.b, this.a] as const]) {
        for (let output = agent.poll(); output; output = agent.poll()) {
          busy = true
          this.#perform(agent, other, output)
        }
      }
    }
  }

  run(ms: number): void {
    const end = this.now + ms
    for (;;) {
      const next = Math.min(this.a.timeout(), this.b.timeout())
      if (next > end) break
      this.now = Math.max(this.now, next)
      for (const agent of [this.a, this.b]) agent.handleTimeout(this.now)
      this.settle()
    }
    this.now = end
  }

  /** The network cuts a connection: both ends hear of it. */
  cut(cable: Cable): void {
    this.cables.splice(this.cables.indexOf(cable), 1)
    this.a.disconnected(this.now, cable.active, 'reset')
    this.b.disconnected(this.now, cable.passive, 'reset')
    this.settle()
  }

  #perform(agent: IceAgent, other: IceAgent, output: AgentOutput): void {
    if (output.type === 'candidate') this.#signal(other, output.candidate)
    else if (output.type === 'connect') this.#connect(output.local, output.remote)
    else if (output.type === 'disconnect') this.#disconnect(agent, output.local)
    else if (output.type === 'state') this.states.push(output.state)
    else if (output.type === 'packet') this.#carry(agent, other, output.packet)
    else if (output.type === 'data') this.heard.push(new TextDecoder().decode(output.bytes))
  }

  #signal(to: IceAgent, candidate: Candidate | null): void {
    to.addRemoteCandidate(this.now, candidate)
  }

  #connect(local: Address, remote: Address): void {
    this.requested.push(local)
    if (!this.open) return this.a.disconnected(this.now, local, 'refused')
    this.cables.push({ active: local, passive: { ...remote }, source: { ip: local.ip, port: this.#ports++ } })
    this.a.connected(this.now, local)
  }

  #disconnect(from: IceAgent, local: Address): void {
    const index = this.cables.findIndex(({ active, passive }) => local === (from === this.a ? active : passive))
    const [cable] = index < 0 ? [] : this.cables.splice(index, 1)
    if (!cable || cable.isSilent) return
    if (from === this.a) this.b.disconnected(this.now, cable.passive, 'closed')
    else this.a.disconnected(this.now, cable.active, 'closed')
  }

  #carry(from: IceAgent, to: IceAgent, { local, bytes }: Packet): void {
    const cable = this.cables.find(({ active, passive }) => local === (from === this.a ? active : passive))
    if (!cable || cable.isSilent) return
    const [name, remote] = from === this.a ? [cable.passive, cable.source] : [cable.active, cable.passive]
    to.handlePacket(this.now, { protocol: 'tcp', local: name, remote, bytes: bytes.slice() })
  }
}

describe('ICE over TCP, RFC 6544', () => {
  test('J83 the active end connects, the passive one learns a peer-reflexive candidate', () => {
    const world = new TcpWorld()
    world.run(1_000)
    expect(world.cables).toHaveLength(1)
    expect(world.a.selectedPair).toMatchObject({ local: { tcpType: 'active' }, remote: { tcpType: 'passive' } })
    expect(world.b.selectedPair).toMatchObject({
      local: { type: 'host', tcpType: 'passive' },
      remote: { type: 'prflx', tcpType: 'active', protocol: 'tcp' },
    })
    world.a.send(world.now, Uint8Array.of(111, 107))
    world.b.send(world.now, Uint8Array.of(111, 107))
    world.settle()
    expect(world.heard).toEqual(['ok', 'ok'])
  })

  test('J84 a connection that breaks is opened again, and the session goes on over it', () => {
    const world = new TcpWorld()
    world.run(1_000)
    const [first] = world.cables
    world.cut(first!)
    world.run(1_000)
    expect(world.cables).toHaveLength(1)
    expect(world.cables[0]!.source).not.toEqual(first!.source)
    expect([world.a.state, world.b.state].every((state) => state === 'connected' || state === 'completed')).toBe(true)
    world.b.send(world.now, Uint8Array.of(111, 107))
    world.settle()
    expect(world.heard).toEqual(['ok'])
  })

  test('J84 where the network refuses it is asked a few times and no more', () => {
    const world = new TcpWorld()
    world.run(1_000)
    world.open = false
    const before = world.requested.length
    world.cut(world.cables[0]!)
    world.run(120_000)
    expect(world.requested.length - before).toBe(TIMING.tcpReconnects)
    expect(world.a.state).toBe('failed')
  })

  /** Both ends send every 20 ms, for so long. Which of them have been heard. */
  function talk(world: TcpWorld, ms: number): string[] {
    world.heard = []
    for (const end = world.now + ms; world.now < end; world.run(20)) {
      world.a.send(world.now, Uint8Array.of(97))
      world.b.send(world.now, Uint8Array.of(98))
      world.settle()
    }
    return [...new Set(world.heard)].sort()
  }

  test.each(['controlling', 'controlled'] as const)(
    'J84 a connection that dies in silence while data flows is replaced; the end that opens them is %s',
    (role) => {
      const world = new TcpWorld({ role })
      expect(talk(world, 15_000)).toEqual(['a', 'b'])
      const [first] = world.cables
      first!.isSilent = true
      world.states = []
      talk(world, 3_000)
      expect(talk(world, 1_000)).toEqual(['a', 'b'])
      expect(world.requested).toHaveLength(2)
      expect(world.states).not.toContain('disconnected')
      expect(world.states).not.toContain('failed')
      expect(world.cables.filter(({ isSilent }) => !isSilent)).toHaveLength(1)
    },
  )

  test('J84 the same without data: before consent ends', () => {
    const world = new TcpWorld()
    world.run(20_000)
    world.cables[0]!.isSilent = true
    world.run(20_000)
    expect(talk(world, 1_000)).toEqual(['a', 'b'])
    world.run(120_000)
    expect(world.states).not.toContain('failed')
    expect(world.requested).toHaveLength(2)
  })

  test('J84 connections that die soon after they are opened are replaced at a pace', () => {
    const world = new TcpWorld()
    for (let i = 0; i < 120; i++) {
      talk(world, 1_000)
      for (const cable of world.cables) cable.isSilent = true
    }
    expect(world.requested.length).toBeGreaterThan(3)
    expect(world.requested.length).toBeLessThan(15)
  })

  test('nothing is sent before the connection is open, and a refused one fails its pair at once', () => {
    const world = new TcpWorld({ open: false })
    const agent = world.a
    world.run(1_000)
    expect(agent.checklist.map(({ state }) => state)).toEqual(['failed'])
    expect(agent.checklist[0]!.stats.requestsSent).toBe(0)
  })

  test('two ends that only connect, or only listen, form no pair', () => {
    const agent = new IceAgent({ random: seeded(3) })
    agent.gather(0, [{ address: { ip: '10.0.0.1', port: 9 }, tcpType: 'active' }])
    agent.start(0, { usernameFragment: 'abcd', password: 'x'.repeat(22) })
    const active: Candidate = {
      type: 'host',
      protocol: 'tcp',
      tcpType: 'active',
      address: { ip: '10.0.0.2', port: 9 },
      foundation: '1',
      component: 1,
      priority: 1,
    }
    agent.addRemoteCandidate(0, active)
    expect(agent.checklist).toEqual([])
    agent.addRemoteCandidate(0, {
      ...active,
      protocol: 'tcp',
      tcpType: 'passive',
      address: { ip: '10.0.0.2', port: 80 },
    })
    expect(agent.checklist).toHaveLength(1)
  })

  test('close() ends the connections', () => {
    const world = new TcpWorld()
    world.run(1_000)
    const closed: Address[] = []
    world.b.close(world.now)
    for (let output = world.b.poll(); output; output = world.b.poll()) {
      if (output.type === 'disconnect') closed.push(output.local)
    }
    expect(closed).toEqual([world.cables[0]!.passive])
    expect(world.b.timeout()).toBe(Number.POSITIVE_INFINITY)
  })
})
