import { decode, isStun, type Packet } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { Side, seeded, Wire } from './wire.ts'

const FIRST = '10.0.0.1'
const SECOND = '10.0.1.1'
const SMALL = 100
const LARGE = 1_200

interface Talk {
  /** Milliseconds. */
  readonly for: number
  readonly every?: number
  readonly bytes?: number
  /** Who speaks; both by default, as where each packet is acknowledged. */
  readonly by?: readonly number[]
  /** Whether the layer above reports that nothing comes for so long. */
  readonly reports?: boolean
}

/** Without an answer for so long, SCTP has sent something a second time. */
const PATIENCE = 1_200

class Stage {
  readonly wire: Wire
  readonly heard: [number, number] = [0, 0]
  readonly gaps: [number, number] = [0, 0]
  /** How many outputs of each end have been looked at. */
  readonly #seen: [number, number] = [0, 0]

  constructor(controlling: 0 | 1 = 0) {
    const [a, b] = [new Side(1, [FIRST, SECOND]), new Side(2, ['10.0.0.2'])]
    this.wire = new Wire(...(controlling === 0 ? ([a, b] as const) : ([b, a] as const)))
    this.wire.latency = 20
    this.wire.connect()
    this.wire.run(3_000)
  }

  get sides() {
    return this.wire.sides
  }

  /** The address in use of the one that has two, by each end's word. */
  get used(): string[] {
    return this.sides.map(({ agent }) => {
      const { local, remote } = agent.selectedPair!
      return [local.base!.ip, remote.address.ip].find((ip) => ip !== '10.0.0.2')!
    })
  }

  get switches(): number {
    return this.sides.reduce((sum, { agent }) => sum + agent.switches.length, 0)
  }

  /** Speaks, and lets the layer above report where it hears nothing. */
  talk({ for: duration, every = 20, bytes = SMALL, by = [0, 1], reports = true }: Talk): void {
    const { wire } = this
    let reportedAt = wire.now
    for (const end = wire.now + duration; wire.now < end; ) {
      for (const index of by) this.sides[index]!.agent.send(wire.now, new Uint8Array(bytes).fill(200))
      wire.run(every)
      for (const index of [0, 1] as const) this.#count(index)
      const isStuck = this.sides.some((_, index) => wire.now - this.heard[index]! > PATIENCE)
      if (!reports || !isStuck || wire.now < reportedAt + PATIENCE) continue
      reportedAt = wire.now
      for (const index of by) this.sides[index]!.agent.reportNoProgress(wire.now)
      wire.drain()
    }
  }

  begin(): void {
    this.gaps.fill(0)
    this.heard.fill(this.wire.now)
  }

  #count(index: 0 | 1): void {
    const { outputs } = this.sides[index]
    const fresh = outputs.slice(this.#seen[index])
    this.#seen[index] = outputs.length
    if (fresh.some(({ type }) => type === 'data')) this.heard[index] = this.wire.now
    this.gaps[index] = Math.max(this.gaps[index], this.wire.now - this.heard[index])
  }
}

const isOver = (ip: string, { local, remote }: Packet) => [local.ip, remote.ip].includes(ip)
const isData = ({ bytes }: Packet) => !isStun(bytes)

describe('a path that lets checks through and swallows data', () => {
  const cases = [
    ['both ways', () => true],
    ['from the end with one address', ({ local }: Packet) => local.ip === '10.0.0.2'],
    ['from the end with two', ({ local }: Packet) => local.ip !== '10.0.0.2'],
  ] as const
  for (const controlling of [0, 1] as const) {
    test.each(cases)(
      `%s, ${controlling === 0 ? 'two' : 'one'} addresses controlling: left within 3 s`,
      (_, isDirection) => {
        const stage = new Stage(controlling)
        stage.talk({ for: 3_000 })
        const before = stage.used[0]!
        expect(stage.used).toEqual([before, before])
        stage.wire.drop = (packet) => isOver(before, packet) && isData(packet) && isDirection(packet)
        stage.begin()
        stage.talk({ for: 10_000 })
        const other = before === FIRST ? SECOND : FIRST
        expect(stage.used).toEqual([other, other])
        expect(Math.max(...stage.gaps)).toBeLessThan(3_000)
        expect(stage.sides.map(({ agent }) => [agent.generation, agent.state])).toEqual([
          [0, 'completed'],
          [0, 'completed'],
        ])
      },
    )
  }

  test('without another path nothing changes, and consent goes on', () => {
    const wire = new Wire(new Side(1, [FIRST]), new Side(2, ['10.0.0.2']))
    wire.latency = 20
    wire.connect()
    wire.run(1_000)
    wire.drop = isData
    for (let n = 0; n < 60; n++) {
      for (const { agent } of wire.sides) {
        agent.send(wire.now, new Uint8Array(SMALL).fill(200))
        agent.reportNoProgress(wire.now)
      }
      wire.run(1_000)
    }
    expect(wire.sides.map(({ agent }) => [agent.state, agent.switches.length])).toEqual([
      ['completed', 0],
      ['completed', 0],
    ])
  })

  test('it is on probation for a minute, and twice as long the next time', () => {
    const stage = new Stage()
    stage.wire.drop = (packet) => isOver(FIRST, packet) && isData(packet)
    stage.begin()
    stage.talk({ for: 400_000, every: 100 })
    const [{ agent }] = stage.sides
    const left = agent.switches.filter(({ reason }) => reason.startsWith('data does not pass'))
    expect(left.length).toBeLessThanOrEqual(4)
    for (const [n, { at }] of left.entries())
      if (n > 0) expect(at - left[n - 1]!.at).toBeGreaterThan(60_000 * 2 ** (n - 1))
  })
})

describe('a path that has become narrower', () => {
  test.each([0, 1] as const)('large packets move to one that takes them, whoever sends (%i)', (sender) => {
    const stage = new Stage()
    stage.wire.drop = (packet) => isOver(FIRST, packet) && packet.bytes.length > 1_000
    stage.talk({ for: 15_000, bytes: LARGE, by: [sender] })
    stage.begin()
    stage.talk({ for: 5_000, bytes: LARGE, by: [sender] })
    expect(stage.used[sender]).toBe(SECOND)
    expect(stage.gaps[1 - sender]).toBeLessThan(100)
  })

  test('it is used again once it takes them, and not before', () => {
    const stage = new Stage()
    stage.wire.drop = (packet) => isOver(FIRST, packet) && packet.bytes.length > 1_000
    stage.talk({ for: 20_000, bytes: LARGE })
    stage.talk({ for: 300_000, bytes: LARGE, every: 100 })
    const isHole = ({ reason }: { reason: string }) => reason.startsWith('data does not pass')
    expect(stage.sides[0].agent.switches.filter(isHole)).toHaveLength(1)
    expect(stage.used).toEqual([SECOND, SECOND])
  })

  test('small packets alone are no reason to leave it', () => {
    const stage = new Stage()
    stage.wire.drop = (packet) => isOver(FIRST, packet) && packet.bytes.length > 1_000
    const before = stage.switches
    stage.talk({ for: 60_000 })
    expect(stage.switches).toBe(before)
  })

  test('where all paths are narrow there is nothing to move to', () => {
    const stage = new Stage()
    stage.wire.drop = ({ bytes }) => bytes.length > 1_000
    const before = stage.switches
    stage.talk({ for: 120_000, bytes: LARGE })
    expect(stage.switches).toBe(before)
    const padded = stage.sides.map(
      (side) => side.all('packet').filter(({ packet }) => isStun(packet.bytes) && packet.bytes.length > 1_000).length,
    )
    expect(Math.max(...padded)).toBeLessThan(300)
  })

  test('padded checks are as large as the largest packet and no larger', () => {
    const stage = new Stage()
    stage.talk({ for: 30_000, bytes: LARGE })
    const sizes = stage.sides.flatMap((side) =>
      side.all('packet').flatMap(({ packet: { bytes } }) => (decode(bytes)?.attributes.filler ? [bytes.length] : [])),
    )
    expect(sizes.length).toBeGreaterThan(4)
    expect(sizes.length).toBeLessThan(30)
    for (const size of sizes) {
      expect(size).toBeLessThanOrEqual(LARGE)
      expect(size).toBeGreaterThan(LARGE - 4)
    }
  })
})

describe('F50 no false alarm in ten minutes', () => {
  const patterns = [
    ['both ways', { by: [0, 1] }],
    ['one way, and never an answer', { by: [0] }],
    ['the other way', { by: [1] }],
  ] as const
  for (const loss of [0.1, 0.2]) {
    test.each(patterns)(`${loss * 100} % loss each way, large packets, %s`, (_, pattern) => {
      const stage = new Stage()
      const random = seeded(loss * 100)
      stage.talk({ for: 10_000, bytes: LARGE })
      stage.wire.drop = () => random(1)[0]! < loss * 256
      const before = stage.switches
      stage.begin()
      stage.talk({ for: 600_000, every: 40, bytes: LARGE, ...pattern })
      expect(stage.switches).toBe(before)
    })
  }
})

test('a report before there is a path, or after close, does no harm', () => {
  const { agent } = new Side(1, [FIRST])
  agent.reportNoProgress(0)
  agent.close(0)
  agent.reportNoProgress(0)
  expect(agent.timeout()).toBe(Number.POSITIVE_INFINITY)
})
