import { type Candidate, TIMING } from '@floe/ice'
import { shortTermKey } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import type { RawPeer } from '../raw-peer.ts'
import { simulate, type World } from '../world.ts'

/** RFC 7675 §5.1. */
const CONSENT_EXPIRY = 30_000
/** RFC 8863 §3. */
const PAC = 39_500

test('G59 consent expires 30 s after the last valid answer, though data keeps coming', () =>
  simulate(1, (world) => {
    const { agent, raw, to } = connected(world)
    const lastAnswer = world.now
    raw.answer = false
    let refusedAt = Number.POSITIVE_INFINITY
    while (world.now < lastAnswer + 40_000) {
      raw.socket.send(to, new TextEncoder().encode('media'))
      if (!agent.sendText('media') && refusedAt === Number.POSITIVE_INFINITY) refusedAt = world.now
      world.run(100)
    }
    expect(refusedAt - lastAnswer).toBeGreaterThan(CONSENT_EXPIRY - 6_000)
    expect(refusedAt - lastAnswer).toBeLessThanOrEqual(CONSENT_EXPIRY + 100)
    const after = raw.received.filter(({ time, message }) => time > refusedAt && message === undefined)
    expect(after).toEqual([])
    expect(agent.connected).toBe(false)
  }))

test('G59 consent answered keeps a connection without data alive for an hour', () =>
  simulate(1, (world) => {
    const { agent } = connected(world)
    world.run(3_600_000)
    expect(agent.connected).toBe(true)
    expect(agent.sendText('still here')).toBe(true)
  }))

test('G60 the interval is random within 4 to 6 s, each request a new transaction, sent once', () =>
  simulate(1, (world) => {
    const { raw } = connected(world)
    const start = world.now
    world.run(300_000)
    const all = raw.requests(true).filter(({ time }) => time > start)
    const times = all.map(({ time }) => time)
    const gaps = times.slice(1).map((time, i) => time - times[i]!)
    expect(all.length).toBe(new Set(all.map(({ message }) => message.transactionId)).size)
    for (const gap of gaps) {
      expect(gap).toBeGreaterThanOrEqual(4_000 - 1e-6)
      expect(gap).toBeLessThanOrEqual(6_000 + 1e-6)
    }
    expect(new Set(gaps.map((gap) => Math.round(gap))).size).toBeGreaterThan(gaps.length / 2)
  }))

test('G60 answers with a wrong password, without one, or from elsewhere do not renew consent', () => {
  const forgeries = [
    { key: shortTermKey('another password than the right one') },
    { key: undefined },
    { source: { ip: '203.0.113.99', port: 9 } },
  ]
  for (const forgery of forgeries)
    simulate(1, (world) => {
      const { agent, raw } = connected(world)
      raw.answer = (_, from) => raw.succeed(from, undefined, forgery)
      world.run(CONSENT_EXPIRY + 1_000)
      expect(agent.sendText('anybody?')).toBe(false)
    })
})

test('G61 consent revoked by an authenticated 403 stops sending at once; a forged 403 does nothing', () => {
  for (const genuine of [true, false])
    simulate(1, (world) => {
      const { agent, raw } = connected(world)
      raw.answer = (_, from) => raw.fail(from, 403, 'Forbidden', genuine ? {} : { key: undefined })
      world.run(7_000)
      expect({ genuine, sends: agent.sendText('more?') }).toEqual({ genuine, sends: !genuine })
    })
})

test('G62 disconnected comes before failed, and the peer that returns connects again', () =>
  simulate(1, (world) => {
    const { agent, raw } = connected(world)
    raw.answer = false
    world.run(20_000)
    expect(agent.state).toBe('disconnected')
    raw.answer = true
    world.run(10_000)
    expect(agent.connected).toBe(true)
    raw.answer = false
    world.run(200_000)
    expect(agent.states.slice(agent.states.lastIndexOf('connected'))).toEqual(['connected', 'disconnected', 'failed'])
  }))

test('G62 timings are options: a short disconnectedTimeout and consent are kept to', () =>
  simulate(1, (world) => {
    const timing = { consentInterval: 500, disconnectedTimeout: 1_000, consentTimeout: 3_000 }
    const agent = world.peer('a', {}, { timing })
    const raw = world.rawPeer('raw')
    world.introduce(agent, raw)
    world.run(1_000)
    raw.answer = false
    const silent = world.now
    world.run(10_000)
    const disconnected = agent.timeOf((output) => output.type === 'state' && output.state === 'disconnected')
    expect(disconnected - silent).toBeGreaterThanOrEqual(400)
    expect(disconnected - silent).toBeLessThanOrEqual(1_000)
    expect(agent.sendText('anybody?')).toBe(false)
  }))

describe('G63 failed not before the PAC timer (RFC 8863) while anything may still come', () => {
  /** When an agent fails that is told these candidates of a peer who never answers. */
  const failedAt = (candidates: (raw: RawPeer) => (Candidate | null)[]) =>
    simulate(1, (world) => {
      const agent = world.peer('a')
      const raw = world.rawPeer('raw')
      raw.answer = false
      agent.gather()
      agent.start(raw.parameters, 'controlling')
      for (const candidate of candidates(raw)) agent.addRemoteCandidate(candidate)
      world.run(120_000)
      return agent.timeOf((output) => output.type === 'state' && output.state === 'failed')
    })

  test.each<[string, (raw: RawPeer) => (Candidate | null)[]]>([
    ['no candidates and no end of them', () => []],
    ['no candidates but their end: peer-reflexive ones may still come', () => [null]],
    ['a dead candidate and no end of candidates', (raw) => [raw.candidate()]],
  ])('%s', (_, candidates) => {
    const time = failedAt(candidates)
    expect(time).toBeGreaterThanOrEqual(PAC)
    expect(time).toBeLessThanOrEqual(PAC + 1_000)
  })

  test('a dead candidate and the end of candidates: failed, at the latest with the PAC timer', () => {
    const time = failedAt((raw) => [raw.candidate(), null])
    // RFC 8489 §6.2.1: Rc sends with doubling intervals, then Rm times the first one.
    expect(time).toBeGreaterThanOrEqual(TIMING.rto * (2 ** (TIMING.Rc - 1) - 1 + TIMING.Rm))
    expect(time).toBeLessThanOrEqual(PAC + 1_000)
  })

  test('a check that comes after all our pairs have failed, before the PAC timer, still connects', () =>
    simulate(1, (world) => {
      const agent = world.peer('a')
      const raw = world.rawPeer('raw')
      raw.remote = agent.agent.localParameters
      agent.gather()
      agent.start(raw.parameters, 'controlled')
      agent.addRemoteCandidate(raw.candidate({ address: { ip: '203.0.113.250', port: 9 } }))
      world.run(PAC - 1_000)
      expect(agent.agent.checklist.map(({ state }) => state)).toEqual(['failed'])
      expect(agent.state).toBe('checking')
      raw.check(agent.sockets[0]!.address, { useCandidate: true })
      world.run(1_500)
      expect(agent.connected).toBe(true)
    }))
})

test('G63 before the remote parameters there is no disconnected and no failed', () =>
  simulate(1, (world) => {
    const agent = world.peer('a')
    agent.gather()
    world.run(600_000)
    expect(agent.states).toEqual([])
    expect(agent.state).toBe('new')
    expect(agent.agent.timeout()).toBe(Number.POSITIVE_INFINITY)
  }))

test('G64 a lite peer that answers but never checks us stays alive, with and without data', () =>
  simulate(1, (world) => {
    const full = world.peer('full')
    const raw = world.rawPeer('raw', {}, { role: 'controlled', lite: true })
    world.introduce(full, raw)
    world.run(600_000)
    expect(full.states.filter((state) => state === 'disconnected' || state === 'failed')).toEqual([])
    expect(full.sendText('still here')).toBe(true)
  }))

test('G64 a full agent under our lite one: both stay alive', () =>
  simulate(1, (world) => {
    const [full, lite] = [world.peer('full'), world.peer('lite', {}, { lite: true })]
    world.connect(full, lite)
    world.run(600_000)
    expect([full.connected, lite.connected]).toEqual([true, true])
    expect(lite.states).not.toContain('disconnected')
  }))

test('G64 a lite agent stops sending when nobody checks it any more', () =>
  simulate(1, (world) => {
    const [full, lite] = [world.peer('full'), world.peer('lite', {}, { lite: true })]
    world.connect(full, lite)
    world.run(5_000)
    full.close()
    world.run(CONSENT_EXPIRY + 1_000)
    expect(lite.connected).toBe(false)
    expect(lite.sendText('anybody?')).toBe(false)
  }))

test('idle: a connected agent wakes for consent and for nothing else', () =>
  simulate(1, (world) => {
    const { agent } = connected(world)
    world.run(60_000)
    const before = agent.wakes
    world.run(600_000)
    expect(agent.wakes - before).toBeLessThanOrEqual((2 * 600_000) / (0.8 * TIMING.consentInterval))
  }))

/** A controlled agent, connected to and nominated by a raw peer that answers everything. */
function connected(world: World) {
  const agent = world.peer('a')
  const raw = world.rawPeer('raw')
  world.introduce(agent, raw)
  const to = agent.sockets[0]!.address
  raw.check(to, { useCandidate: true })
  world.run(200)
  expect(agent.connected).toBe(true)
  return { agent, raw, to }
}
