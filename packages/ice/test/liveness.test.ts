import { expect, test } from 'vitest'
import { Side, Wire } from './wire.ts'

function connected(bases = ['10.0.0.1']): Wire {
  const wire = new Wire(new Side(1, bases), new Side(2, ['10.0.0.2']))
  wire.latency = 20
  wire.connect()
  wire.run(1000)
  return wire
}

test('G59 consent expires 30 s after the last answer though data flows in, and sending stops', () => {
  const wire = connected()
  const [a, b] = wire.sides
  wire.drop = (packet, from) => from === b && packet.bytes[0]! < 4
  for (let i = 0; i < 40; i++) {
    b.agent.send(wire.now, Uint8Array.of(77))
    wire.run(1000)
  }
  expect(a.all('data').length).toBeGreaterThan(25)
  expect(a.agent.send(wire.now, Uint8Array.of(77))).toBe(false)
  expect(a.all('state').map(({ state }) => state)).toEqual(['checking', 'completed', 'failed'])
})

test('G62 disconnected before failed, and back to connected when the path returns', () => {
  const wire = connected()
  const [a, b] = wire.sides
  wire.drop = () => true
  wire.run(12_000)
  expect([a.agent.state, b.agent.state]).toEqual(['disconnected', 'disconnected'])
  wire.drop = () => false
  wire.run(7000)
  expect([a.agent.state, b.agent.state]).toEqual(['completed', 'completed'])
  wire.drop = () => true
  wire.run(80_000)
  expect([a.agent.state, b.agent.state]).toEqual(['failed', 'failed'])
})

test('F48 a second path takes over when the selected one falls silent', () => {
  const wire = connected(['10.0.0.1', '10.0.1.1'])
  const [a, b] = wire.sides
  const dead = a.agent.selectedPair?.local.address.ip
  wire.drop = ({ local, remote }) => local.ip === dead || remote.ip === dead
  wire.run(20_000)
  expect(a.agent.selectedPair?.local.address.ip).not.toBe(dead)
  expect(b.agent.selectedPair?.remote.address.ip).toBe(a.agent.selectedPair?.local.address.ip)
  expect(a.all('state').map(({ state }) => state)).not.toContain('failed')
})

test('an idle connected agent wakes for consent only', () => {
  const wire = connected()
  const [a] = wire.sides
  const before = a.all('packet').length
  wire.run(100_000)
  const requestsAndAnswers = a.all('packet').length - before
  expect(requestsAndAnswers).toBeGreaterThan(25)
  expect(requestsAndAnswers).toBeLessThan(52)
})

test('G60 an answer that takes longer than the interval still renews consent', () => {
  const wire = connected()
  const [a, b] = wire.sides
  wire.latency = 3_500
  wire.run(60_000)
  expect([a.agent.state, b.agent.state]).toEqual(['completed', 'completed'])
})

test('a closed agent schedules and sends nothing', () => {
  const wire = connected()
  const [a] = wire.sides
  a.agent.close(wire.now)
  wire.drain()
  expect(a.agent.timeout()).toBe(Number.POSITIVE_INFINITY)
  expect(
    a.agent.handlePacket(wire.now, {
      protocol: 'udp',
      local: a.bases[0]!.address,
      remote: { ip: '10.0.0.2', port: 5000 },
      bytes: new Uint8Array(50),
    }),
  ).toBe(false)
  expect(a.agent.poll()).toBeUndefined()
  expect(() => a.agent.send(wire.now, Uint8Array.of(1))).toThrow('closed')
})
