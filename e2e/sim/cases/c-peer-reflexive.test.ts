import { LIMITS, parseCandidate } from '@floe/ice'
import { formatAddress } from '@floe/stun'
import { expect, test } from 'vitest'
import type { NatBehavior } from '../../topology/behavior.ts'
import { assertAgreement } from '../invariants.ts'
import { pairTypes } from '../runner.ts'
import { simulate } from '../world.ts'

const NAT: NatBehavior = { mapping: 'endpoint-independent', filtering: 'address-and-port-dependent' }

test('C28 peer-reflexive before signaling: the candidate that comes later takes its place, nothing is disturbed', () => {
  for (const type of ['host', 'srflx'] as const)
    simulate(1, (world) => {
      const agent = world.peer('a')
      const raw = world.rawPeer('raw')
      raw.remote = agent.agent.localParameters
      agent.gather()
      agent.start(raw.parameters, 'controlled')
      raw.check(agent.sockets[0]!.address, { useCandidate: true })
      world.run(100)
      const before = agent.selected!
      const { id } = before
      expect(before.remote.type).toBe('prflx')
      agent.addRemoteCandidate(raw.candidate({ type }))
      world.run(20_000)
      expect(agent.agent.checklist).toHaveLength(1)
      expect(agent.selected).toMatchObject({ id, remote: { type, foundation: 'raw' }, nominated: true })
      expect(agent.states).toEqual(['checking', 'connected'])
    })
})

test('C28 with a NAT between: the check arrives before the server-reflexive candidate it comes from', () =>
  simulate(1, (world) => {
    world.stunServer()
    const a = world.peer('a', { nat: NAT })
    const b = world.peer('b')
    // b's candidates reach a at once, a's reach b late.
    a.gather()
    b.gather()
    world.run(100)
    a.start(b.agent.localParameters, 'controlling')
    b.start(a.agent.localParameters, 'controlled')
    for (const candidate of b.agent.localCandidates) a.addRemoteCandidate(candidate)
    world.run(200)
    expect(pairTypes(b)).toBe('host-prflx')
    for (const { candidate } of a.outputs('candidate')) b.addRemoteCandidate(candidate)
    world.run(200)
    expect(pairTypes(b)).toBe('host-srflx')
    expect(b.states.filter((state) => state === 'disconnected' || state === 'failed')).toEqual([])
    assertAgreement(world, a, b)
  }))

test('C28 with an ICE restart: checks of the new generation arrive before its candidates, and the session goes on', () =>
  simulate(1, (world) => {
    world.stunServer()
    const a = world.peer('a', { nat: NAT })
    const b = world.peer('b')
    world.connect(a, b)
    world.run(3_000)
    expect([pairTypes(a), pairTypes(b)]).toEqual(['srflx-host', 'host-srflx'])
    // b learns a's new parameters at once, and a's candidates late.
    a.oncandidate = b.oncandidate = undefined
    const late = a.outputs('candidate').length
    const [ofA, ofB] = [a.restart(), b.restart()]
    a.start(ofB, 'controlling')
    b.start(ofA, 'controlled')
    for (const candidate of b.agent.localCandidates) a.addRemoteCandidate(candidate)
    world.run(500)
    expect(b.agent.checklist).toContain(b.selected)
    expect(pairTypes(b)).toBe('host-prflx')
    const { id } = b.selected!
    for (const { candidate } of a.outputs('candidate').slice(late)) b.addRemoteCandidate(candidate)
    world.run(3_000)
    expect(pairTypes(b)).toBe('host-srflx')
    expect(b.selected!.id).toBe(id)
    for (const peer of [a, b]) expect(peer.states).not.toContain(expect.stringMatching(/disconnected|failed/))
    assertAgreement(world, a, b)
  }))

test('C29 the candidate comes while the peer-reflexive pair is being checked: the check goes on and succeeds', () =>
  simulate(1, (world) => {
    const agent = world.peer('a', { link: { latency: 100 } })
    const raw = world.rawPeer('raw')
    raw.remote = agent.agent.localParameters
    agent.gather()
    agent.start(raw.parameters, 'controlled')
    raw.check(agent.sockets[0]!.address)
    world.run(150)
    expect(agent.agent.checklist.map(({ state, remote }) => [state, remote.type])).toEqual([['in-progress', 'prflx']])
    agent.addRemoteCandidate(raw.candidate())
    world.run(150)
    expect(agent.agent.checklist.map(({ state, remote }) => [state, remote.type])).toEqual([['succeeded', 'host']])
    expect(raw.requests()).toHaveLength(1)
  }))

test('C30 behind a NAT without a STUN server the answer reveals a local peer-reflexive candidate', () =>
  simulate(1, (world) => {
    const a = world.peer('a', { nat: NAT })
    const b = world.peer('b')
    world.connect(a, b)
    world.run(3_000)
    expect(pairTypes(a)).toBe('prflx-host')
    const { local } = a.selected!
    expect(local.address.ip).toBe(world.routers.values().next().value!.nat!.externalIp)
    expect(local.base).toBe(a.sockets[0]!.address)
    expect(pairTypes(b)).toBe('host-prflx')
    expect(formatAddress(b.selected!.remote.address)).toBe(formatAddress(local.address))
    assertAgreement(world, a, b)
  }))

test('C30 the local peer-reflexive candidate is not signalled', () =>
  simulate(1, (world) => {
    const a = world.peer('a', { nat: NAT })
    const b = world.peer('b')
    world.connect(a, b)
    world.run(3_000)
    expect(a.outputs('candidate').map(({ candidate }) => candidate?.type ?? 'end')).toEqual(['host', 'end'])
  }))

test('C31 with an mDNS name no signalled line and no error names the private address', () =>
  simulate(1, (world) => {
    world.stunServer()
    world.stunServer({ dead: true })
    const hostname = '0f3a1b5c-7d5e-4a3a-9d3c-1f0e7b6c5d4e.local'
    const a = world.peer('a', { nat: NAT }, { base: () => ({ hostname }) })
    const b = world.peer('b')
    const lines: string[] = []
    const signaling = world.signaling(a, b)
    signaling.ontext = (text, from) => {
      if (from === a) lines.push(text)
    }
    signaling.start()
    world.run(10_000)
    const { ip } = a.sockets[0]!.address
    expect(lines.some((line) => line.includes(hostname))).toBe(true)
    expect(lines.some((line) => line.includes('typ srflx'))).toBe(true)
    expect(lines.filter((line) => line.includes(ip))).toEqual([])
    expect(JSON.stringify(a.outputs('candidateerror'))).not.toContain(ip)
    expect(a.outputs('candidateerror')).toHaveLength(1)
    expect(a.connected).toBe(true)
  }))

test('C31 nor does a peer-reflexive candidate name it, in statistics for one', () =>
  simulate(1, (world) => {
    const nat = { mapping: 'address-and-port-dependent', filtering: 'endpoint-independent' } as const
    const a = world.peer('a', { nat }, { base: () => ({ hostname: 'a.local' }) })
    world.connect(a, world.peer('b'))
    world.run(3_000)
    const reflexive = a.agent.localCandidates.filter(({ type }) => type === 'prflx')
    expect(reflexive.length).toBeGreaterThan(0)
    expect(reflexive.map(({ relatedAddress }) => relatedAddress)).toEqual(
      reflexive.map(() => ({ ip: '0.0.0.0', port: 9 })),
    )
  }))

test('C32 checks before the remote parameters are answered, remembered and used', () =>
  simulate(1, (world) => {
    const agent = world.peer('a', {}, { role: 'controlled' })
    const raw = world.rawPeer('raw')
    raw.remote = agent.agent.localParameters
    agent.gather()
    const id = raw.check(agent.sockets[0]!.address, { useCandidate: true })
    world.run(1_000)
    expect(raw.responseTo(id)?.class).toBe('success')
    expect(agent.state).toBe('new')
    agent.start(raw.parameters)
    world.run(10)
    expect(agent.selected).toMatchObject({ nominated: true, remote: { type: 'prflx' } })
    expect(agent.connected).toBe(true)
  }))

test('C32 the peer may see its answer and nominate long before our signaling: no restart, one pair', () =>
  simulate(1, (world) => {
    const agent = world.peer('a', {}, { role: 'controlled' })
    const raw = world.rawPeer('raw')
    raw.remote = agent.agent.localParameters
    agent.gather()
    for (const useCandidate of [undefined, true] as const) {
      raw.check(agent.sockets[0]!.address, useCandidate && { useCandidate })
      world.run(2_000)
    }
    agent.addRemoteCandidate(raw.candidate())
    agent.start(raw.parameters)
    world.run(10)
    expect(agent.agent.checklist).toHaveLength(1)
    expect(agent.selected).toMatchObject({ nominated: true, remote: { type: 'host' } })
  }))

test('C32 early checks are bounded: a flood of them from as many ports leaves no more than the limit', () =>
  simulate(1, (world) => {
    const agent = world.peer('a', {}, { role: 'controlled' })
    const raw = world.rawPeer('raw')
    raw.remote = agent.agent.localParameters
    agent.gather()
    const to = agent.sockets[0]!.address
    for (let port = 1; port <= 3 * LIMITS.earlyChecks; port++) {
      raw.check(to, {}, { source: { ip: raw.address.ip, port } })
    }
    world.run(10)
    agent.start(raw.parameters)
    expect(agent.agent.checklist.length).toBeLessThanOrEqual(LIMITS.earlyChecks)
    expect(agent.agent.checklist.length).toBeGreaterThan(0)
  }))

test('C32 a flood of early checks does not keep out what the peer says later', () =>
  simulate(1, (world) => {
    const agent = world.peer('a', {}, { role: 'controlled' })
    const raw = world.rawPeer('raw')
    raw.remote = agent.agent.localParameters
    agent.gather()
    for (let n = 0; n < 2 * LIMITS.earlyChecks; n++) raw.check(agent.sockets[0]!.address)
    world.run(10)
    agent.start(raw.parameters)
    agent.addRemoteCandidate(parseCandidate('candidate:1 1 udp 2130706431 203.0.113.99 5000 typ host')!)
    raw.check(agent.sockets[0]!.address, { useCandidate: true })
    world.run(100)
    expect(agent.agent.checklist).toHaveLength(2)
    expect(agent.selected?.nominated).toBe(true)
  }))
