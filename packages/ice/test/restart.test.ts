import { encode, newTransactionId, shortTermKey } from '@floe/stun'
import { expect, test } from 'vitest'
import { IceError } from '../src/index.ts'
import { Side, seeded, Wire } from './wire.ts'

function connected(): Wire {
  const wire = new Wire(new Side(1, ['10.0.0.1']), new Side(2, ['10.0.0.2']))
  wire.latency = 20
  wire.connect()
  wire.run(1000)
  return wire
}

function exchange(wire: Wire): void {
  wire.drain()
  const [a, b] = wire.sides
  a.agent.start(wire.now, b.agent.localParameters)
  b.agent.start(wire.now, a.agent.localParameters)
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const { usernameFragment } = from.agent.localParameters
    for (const candidate of from.candidates())
      if (candidate.usernameFragment === usernameFragment) to.agent.addRemoteCandidate(wire.now, candidate)
    to.agent.addRemoteCandidate(wire.now, null)
  }
}

test('H66 data flows on the old pair until the restarted generation has its own', () => {
  const wire = connected()
  const [a, b] = wire.sides
  const old = a.agent.selectedPair
  a.agent.restart(wire.now)
  b.agent.restart(wire.now)
  wire.run(12_000)
  expect(a.agent.selectedPair).toBe(old)
  expect([a.agent.state, b.agent.state]).toEqual(['connected', 'connected'])
  expect(a.agent.send(wire.now, Uint8Array.of(99))).toBe(true)
  wire.run(20)
  expect(b.all('data')).toHaveLength(1)
  exchange(wire)
  wire.run(500)
  expect(a.agent.selectedPair).not.toBe(old)
  expect(a.agent.selectedPair?.id).toBe('1.0')
  expect(b.agent.selectedPair?.id).toBe('1.0')
  expect([a.agent.state, b.agent.state]).toEqual(['completed', 'completed'])
  expect(a.all('state').map(({ state }) => state)).not.toContain('disconnected')
})

test('H66 consent of the old pair goes on while the restart waits for signaling, past 30 s', () => {
  const wire = connected()
  for (const { agent } of wire.sides) agent.restart(wire.now)
  wire.run(60_000)
  expect(wire.sides.map(({ agent }) => agent.state)).toEqual(['connected', 'connected'])
  exchange(wire)
  wire.run(500)
  expect(wire.sides.map(({ agent }) => agent.selectedPair?.id)).toEqual(['1.0', '1.0'])
})

test('H65 restarts again and again, also before the peer has answered the one before', () => {
  const wire = connected()
  const [a, b] = wire.sides
  for (let i = 0; i < 5; i++) a.agent.restart(wire.now)
  b.agent.restart(wire.now)
  exchange(wire)
  wire.run(500)
  expect(a.agent.selectedPair?.id).toBe('5.0')
  expect(b.agent.selectedPair?.id).toBe('1.0')
})

test('H67 the superseded generation is answered for a while, then no more', () => {
  const wire = connected()
  const [a, b] = wire.sides
  const oldUfrag = b.agent.localParameters.usernameFragment
  for (const { agent } of wire.sides) agent.restart(wire.now)
  expect(b.agent.usernameFragments).toContain(oldUfrag)
  exchange(wire)
  wire.run(4000)
  expect(b.agent.usernameFragments).toContain(oldUfrag)
  wire.run(2000)
  expect(b.agent.usernameFragments).toEqual([b.agent.localParameters.usernameFragment])
  expect(a.agent.state).toBe('completed')
})

test('H67 the superseded generation learns no new address: Chromium’s new ports try the old credentials first', () => {
  const wire = connected()
  const [a, b] = wire.sides
  const { usernameFragment, password } = b.agent.localParameters
  const oldRemote = a.agent.localParameters.usernameFragment
  for (const { agent } of wire.sides) agent.restart(wire.now)
  const checkFrom = (port: number): number => {
    const bytes = encode(
      {
        method: 'binding',
        class: 'request',
        transactionId: newTransactionId(seeded(port)),
        attributes: {
          username: `${usernameFragment}:${oldRemote}`,
          priority: 1,
          iceControlling: 1n,
          useCandidate: true,
        },
      },
      { key: shortTermKey(password), fingerprint: true },
    )
    const before = b.outputs.length
    const remote = { ip: '10.0.0.1', port }
    b.agent.handlePacket(wire.now, { protocol: 'udp', local: b.bases[0]!.address, remote, bytes })
    wire.drain()
    return b.outputs.slice(before).filter(({ type }) => type === 'packet').length
  }
  expect(checkFrom(6000)).toBe(0)
  expect(checkFrom(5000)).toBe(1)
})

test('new remote parameters without a restart are the caller’s mistake', () => {
  const wire = connected()
  const remote = { usernameFragment: 'other', password: 'x'.repeat(22) }
  expect(() => wire.sides[0].agent.start(wire.now, remote)).toThrow(IceError)
})
