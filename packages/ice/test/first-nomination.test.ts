import { decode } from '@floe/stun'
import { expect, test } from 'vitest'
import type { Candidate } from '../src/index.ts'
import { networkExtensions } from '../src/network-cost.ts'
import { Side, Wire } from './wire.ts'

/** Round trips take 40 ms. The peer's second address is called a relay; the first one is told at `toldAt`, and may be out of reach. */
function meet(toldAt: number, isOpen: boolean, extensions: Candidate['extensions'] = []) {
  const [a, b] = [new Side(1, ['10.0.0.1']), new Side(2, ['10.0.0.2', '10.0.0.3'])] as const
  const wire = new Wire(a, b)
  wire.latency = 20
  const nominations: { at: number; ip: string }[] = []
  const times = { selected: Number.NaN }
  wire.drop = ({ remote, local, bytes }, from) => {
    const message = decode(bytes)
    if (from === a && message?.class === 'request' && message.attributes.useCandidate)
      nominations.push({ at: wire.now, ip: remote.ip })
    return !isOpen && (remote.ip === '10.0.0.2' || local.ip === '10.0.0.2')
  }
  for (const { agent, bases } of wire.sides) agent.gather(0, bases)
  wire.drain()
  a.agent.start(0, b.agent.localParameters, 'controlling')
  b.agent.start(0, a.agent.localParameters, 'controlled')
  for (const candidate of a.candidates()) b.agent.addRemoteCandidate(0, candidate)
  const [direct, other] = b.candidates().map((candidate) => ({ ...candidate, extensions }))
  a.agent.addRemoteCandidate(0, { ...other!, type: 'relay', priority: 1, foundation: 'r' })
  for (; wire.now < 1_000; wire.run(1)) {
    if (wire.now === toldAt) a.agent.addRemoteCandidate(wire.now, direct!)
    if (Number.isNaN(times.selected) && a.agent.selectedPair) times.selected = wire.now
  }
  return { nominations, selected: times.selected, pair: a.agent.selectedPair! }
}

test('a relayed pair that is valid first carries data at once, and is not nominated when a direct one follows', () => {
  const { nominations, selected, pair } = meet(35, true)
  expect(selected).toBe(40)
  expect(new Set(nominations.map(({ ip }) => ip))).toEqual(new Set(['10.0.0.2']))
  expect(pair.remote.type).toBe('host')
})

test('it is nominated when a direct one does not follow within 100 ms and two round trips', () => {
  const { nominations, selected, pair } = meet(35, false)
  expect(nominations[0]!.ip).toBe('10.0.0.3')
  expect(nominations[0]!.at - selected).toBeGreaterThanOrEqual(175)
  expect(nominations[0]!.at - selected).toBeLessThanOrEqual(185)
  expect(pair.nominated).toBe(true)
})

test('who tells of its networks, as libwebrtc and floe do, takes what is nominated last: nothing waits', () => {
  const { extensions } = networkExtensions({ id: 1, cost: 10 })
  const { nominations, selected } = meet(35, true, extensions)
  expect(nominations[0]).toEqual({ at: selected, ip: '10.0.0.3' })
})
