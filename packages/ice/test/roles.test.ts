import { expect, test } from 'vitest'
import { Side, Wire } from './wire.ts'

test.each(['controlling', 'controlled'] as const)(
  'D33 both %s: one of each, connected, whatever the tie-breakers',
  (role) => {
    for (let seed = 1; seed < 60; seed += 2) {
      const wire = new Wire(new Side(seed, ['10.0.0.1'], { role }), new Side(seed + 1, ['10.0.0.2'], { role }))
      wire.latency = 15
      const [a, b] = wire.sides
      for (const side of wire.sides) side.agent.gather(0, side.bases)
      wire.drain()
      a.agent.start(0, b.agent.localParameters)
      b.agent.start(0, a.agent.localParameters)
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const)
        for (const it of [...from.candidates(), null]) to.agent.addRemoteCandidate(0, it)
      wire.run(2000)
      expect([a.agent.role, b.agent.role].sort(), `seed ${seed}`).toEqual(['controlled', 'controlling'])
      expect([a.agent.state, b.agent.state], `seed ${seed}`).toEqual(['completed', 'completed'])
    }
  },
)

test('D35 full with lite: the full agent controls, the lite one sends no request', () => {
  const wire = new Wire(new Side(1, ['10.0.0.1'], { role: 'controlled' }), new Side(2, ['10.0.0.2'], { lite: true }))
  wire.latency = 15
  wire.connect()
  wire.run(2000)
  const [full, lite] = wire.sides
  expect([full.agent.role, lite.agent.role]).toEqual(['controlling', 'controlled'])
  expect(lite.agent.localParameters.iceLite).toBe(true)
  expect([full.agent.state, lite.agent.state]).toEqual(['completed', 'completed'])
  const requests = lite.all('packet').filter(({ packet }) => packet.bytes[0] === 0 && packet.bytes[1] === 1)
  expect(requests).toHaveLength(0)
  expect(lite.agent.send(wire.now, Uint8Array.of(40))).toBe(true)
  wire.run(60_000)
  expect([full.agent.state, lite.agent.state]).toEqual(['completed', 'completed'])
})

test('D40 a lost nomination is repeated; one that cannot pass leaves the other pair', () => {
  const wire = new Wire(new Side(1, ['10.0.0.1', '10.0.1.1']), new Side(2, ['10.0.0.2']))
  wire.latency = 15
  const nominations: string[] = []
  wire.drop = ({ bytes, local }, from) => {
    const isNomination = from === wire.sides[0] && includes(bytes, [0x00, 0x25, 0x00, 0x00])
    if (isNomination) nominations.push(local.ip)
    return isNomination && local.ip === '10.0.0.1'
  }
  wire.connect()
  wire.run(60_000)
  const [a, b] = wire.sides
  expect(nominations).toContain('10.0.0.1')
  expect(a.agent.selectedPair?.local.address.ip).toBe('10.0.1.1')
  expect(b.agent.selectedPair?.remote.address.ip).toBe('10.0.1.1')
})

function includes(bytes: Uint8Array, needle: number[]): boolean {
  return Buffer.from(bytes).includes(Buffer.from(needle))
}
