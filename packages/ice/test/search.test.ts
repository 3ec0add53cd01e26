import { describe, expect, test } from 'vitest'
import { SEARCH } from '../src/defaults.ts'
import { drawPorts, mayForetell, predictPorts, sweepPorts } from '../src/port-range.ts'
import { SearchGate } from '../src/search-gate.ts'

const MINUTE = 60_000

describe('the range of a NAT’s next ports', () => {
  test.each([
    {
      name: 'ascending',
      ports: [3000, 3002, 3003, 3005],
      sockets: 16,
      expected: { kind: 'sequential', low: 3006, high: 3077, aim: 3029 },
    },
    {
      name: 'descending',
      ports: [3005, 3004, 3003],
      sockets: 16,
      expected: { kind: 'sequential', low: 2967, high: 3002, aim: 2991 },
    },
    {
      name: 'a block',
      ports: [20010, 20500, 20100, 20300],
      sockets: 16,
      expected: { kind: 'block', low: 19765, high: 20745 },
    },
    { name: 'random', ports: [2000, 60000, 30000], sockets: 16, expected: { kind: 'random', low: 1024, high: 65535 } },
    {
      name: 'at the edge',
      ports: [65000, 65500, 65200],
      sockets: 16,
      expected: { kind: 'block', low: 64666, high: 65535 },
    },
    {
      name: 'random, of the upper half',
      ports: [33_000, 60_000, 45_000, 50_000, 40_000, 55_000, 35_000, 58_000],
      sockets: 16,
      expected: { kind: 'random', low: 26_250, high: 65_535 },
    },
    { name: 'too few', ports: [3000, 3001], sockets: 16, expected: undefined },
  ])('$name', ({ ports, sockets, expected }) => {
    expect(predictPorts(ports, sockets)).toEqual(expected)
  })

  test('each port once, and only those of the range', () => {
    const ports = drawPorts(5000, 5099, 1_000, pseudoRandom(1))
    expect(new Set(ports).size).toBe(100)
    expect([Math.min(...ports), Math.max(...ports)]).toEqual([5000, 5099])
    expect(ports).not.toEqual(ports.toSorted((a, b) => a - b))
  })

  test('some of many: each as often as any other', () => {
    const random = pseudoRandom(1)
    const drawn = new Map<number, number>()
    for (let i = 0; i < 2_000; i++) {
      const ports = drawPorts(10, 19, 3, random)
      expect(new Set(ports).size).toBe(3)
      for (const port of ports) drawn.set(port, (drawn.get(port) ?? 0) + 1)
    }
    // 600 expected; four standard deviations are 82.
    expect(drawn.size).toBe(10)
    for (const times of drawn.values()) expect(Math.abs(times - 600)).toBeLessThan(82)
    // Nobody draws 64512 numbers to have a few.
    let asked = 0
    drawPorts(1_024, 65_535, 200, () => {
      asked++
      return random()
    })
    expect(asked).toBe(200)
  })

  test.each([
    ['a socket’s own port among them', 5_000, [5_000, 61_234], true],
    ['counted up', 5_000, [20_001, 20_003], true],
    ['counted over others', 5_000, [20_001, 20_040], true],
    ['far apart', 5_000, [20_001, 20_042], false],
    ['one alone', 5_000, [20_001], false],
  ])('a NAT that may be foretold: %s', (_, own, seen, expected) => {
    expect(mayForetell(own, seen)).toBe(expected)
  })

  test('a sweep: between the seen ports first, then outwards, within the limit and the unprivileged ports', () => {
    const ports = sweepPorts([1030, 1040], 40, pseudoRandom(1))
    expect(ports).toHaveLength(40)
    expect(ports.slice(0, 9).toSorted((a, b) => a - b)).toEqual([1031, 1032, 1033, 1034, 1035, 1036, 1037, 1038, 1039])
    expect(ports.slice(9, 13)).toEqual([1041, 1029, 1042, 1028])
    expect(Math.min(...ports)).toBe(1024)
    expect(new Set(ports).size).toBe(40)
  })
})

test('one search at a time, and one per peer: again after ten minutes, then after an hour', () => {
  const gate = new SearchGate()
  const [a, b] = [{}, {}]
  expect(gate.enter(0, a, '192.0.2.1')).toBe(true)
  expect(gate.enter(1, b, '192.0.2.2')).toBe(false)
  gate.leave(b) // Not the holder: nothing changes.
  expect(gate.enter(1, b, '192.0.2.2')).toBe(false)
  expect(gate.opensAt(1, '192.0.2.2')).toBe(1 + SEARCH.duration)
  gate.leave(a)
  expect(gate.enter(2, b, '192.0.2.2')).toBe(true)
  gate.leave(b)
  const allowed = (now: number) => {
    const entered = gate.enter(now, a, '192.0.2.1')
    gate.leave(a)
    return entered
  }
  expect(gate.opensAt(2, '192.0.2.1')).toBe(10 * MINUTE)
  expect(gate.opensAt(2, '192.0.2.3')).toBeLessThanOrEqual(2)
  expect(allowed(10 * MINUTE - 1)).toBe(false)
  expect(allowed(10 * MINUTE)).toBe(true)
  expect(allowed(69 * MINUTE)).toBe(false)
  expect(allowed(70 * MINUTE)).toBe(true)
  expect(allowed(129 * MINUTE)).toBe(false)
})

test('the caps of the search are those that were thought through', () => {
  expect(SEARCH).toMatchObject({ sockets: 256, blockSockets: 64, probes: 1024, sweep: 2048, offers: 200 })
})

function pseudoRandom(seed: number): () => number {
  let state = seed
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
}
