import { expect, test } from 'vitest'
import { Side, Wire } from './wire.ts'

test('two agents on one network connect, agree on the pair and exchange data', () => {
  const wire = new Wire(new Side(1, ['10.0.0.1'], { log: true }), new Side(2, ['10.0.0.2'], { log: true }))
  wire.latency = 10
  wire.connect()
  wire.run(1000)
  const [a, b] = wire.sides
  expect(a.agent.state).toBe('completed')
  expect(b.agent.state).toBe('completed')
  expect(a.agent.selectedPair?.nominated).toBe(true)
  expect(b.agent.selectedPair?.nominated).toBe(true)
  expect(a.agent.send(wire.now, Uint8Array.of(20, 1, 2))).toBe(true)
  wire.run(20)
  expect(b.all('data').map(({ bytes }) => [...bytes])).toEqual([[20, 1, 2]])
})

test('the first check leaves in the turn in which parameters and a pair are known, and connects in one round trip', () => {
  const wire = new Wire(new Side(1, ['10.0.0.1']), new Side(2, ['10.0.0.2']))
  wire.latency = 30
  wire.connect()
  wire.run(60)
  expect(wire.sides.map(({ agent }) => agent.state)).toEqual(['completed', 'completed'])
})
