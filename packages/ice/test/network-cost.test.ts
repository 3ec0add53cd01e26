import { decode, type Packet } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { costOf, formatCandidate, parseCandidate } from '../src/index.ts'
import { costDifference } from '../src/network-cost.ts'
import { Side, Wire } from './wire.ts'

const [CELLULAR, WIFI, WIRED] = [
  { ip: '10.0.0.1', network: { id: 1, cost: 900 } },
  { ip: '10.0.1.1', network: { id: 2, cost: 10 } },
  { ip: '10.0.2.1', network: { id: 3, cost: 0 } },
]

type Network = typeof CELLULAR

function side(seed: number, networks: readonly Network[]): Side {
  const made = new Side(
    seed,
    networks.map(({ ip }) => ip),
  )
  return Object.assign(made, {
    bases: made.bases.map((base, index) => ({ ...base, network: networks[index]!.network })),
  })
}

/** `a` controls. */
function connected(networks: readonly Network[], prepare: (wire: Wire) => void = () => {}): Wire {
  const wire = new Wire(side(1, networks), new Side(2, ['10.0.9.2']))
  wire.latency = 20
  prepare(wire)
  wire.connect()
  wire.run(3_000)
  return wire
}

function used({ sides: [a, b] }: Wire): (string | undefined)[] {
  return [a.agent.selectedPair?.local.base?.ip, b.agent.selectedPair?.remote.address.ip]
}

function requests(wire: Wire) {
  return wire.sides[0].all('packet').flatMap(({ packet }) => {
    const message = decode(packet.bytes)
    return message?.class === 'request' ? [{ packet, info: message.attributes.networkInfo }] : []
  })
}

describe('F55 what a network costs', () => {
  test('the cheaper one is used, whatever the order of candidates: Wi-Fi before cellular, wired before both', () => {
    expect(used(connected([CELLULAR, WIFI]))).toEqual([WIFI.ip, WIFI.ip])
    expect(used(connected([CELLULAR, WIFI, WIRED]))).toEqual([WIRED.ip, WIRED.ip])
  })

  test('the dearer one takes over when the cheaper one dies, and gives way when it is back, once', () => {
    const wire = connected([CELLULAR, WIFI])
    const [{ agent }] = wire.sides
    const before = agent.switches.length
    const isWifi = ({ local, remote }: Packet) => [local.ip, remote.ip].includes(WIFI.ip)
    wire.drop = isWifi
    wire.run(15_000)
    expect(used(wire)).toEqual([CELLULAR.ip, CELLULAR.ip])
    wire.drop = () => false
    wire.run(30_000)
    expect(used(wire)).toEqual([WIFI.ip, WIFI.ip])
    expect(agent.switches).toHaveLength(before + 2)
  })

  test('the controlled side’s costs count as much: its checks tell them', () => {
    const b = side(2, [CELLULAR, WIFI])
    const wire = new Wire(new Side(1, ['10.0.9.1']), b)
    wire.latency = 20
    wire.connect()
    wire.run(3_000)
    expect(wire.sides[0].agent.selectedPair?.remote.address.ip).toBe(WIFI.ip)
    expect(costOf(wire.sides[0].agent.selectedPair!)).toBe(10)
  })
})

describe('GOOG-NETWORK-INFO', () => {
  test('every check says which network it leaves from', () => {
    const sent = requests(connected([CELLULAR, WIFI]))
    expect(sent.length).toBeGreaterThan(3)
    for (const { packet, info } of sent) {
      expect(info).toEqual([CELLULAR, WIFI].find(({ ip }) => ip === packet.local.ip)!.network)
    }
  })

  test('without a network there is none', () => {
    const wire = new Wire(new Side(1, ['10.0.0.1']), new Side(2, ['10.0.0.2']))
    wire.connect()
    wire.run(1_000)
    expect(requests(wire).map(({ info }) => info)).toEqual(requests(wire).map(() => undefined))
    expect(costOf(wire.sides[0].agent.selectedPair!)).toBe(0)
  })

  test('what the peer’s checks say outweighs its candidate', () => {
    const wire = new Wire(new Side(1, ['10.0.9.1']), side(2, [WIFI]))
    wire.latency = 20
    const [a, b] = wire.sides
    for (const one of wire.sides) one.agent.gather(0, one.bases)
    wire.drain()
    a.agent.start(0, b.agent.localParameters, 'controlling')
    b.agent.start(0, a.agent.localParameters, 'controlled')
    const [line] = b.candidates().map(formatCandidate)
    expect(line).toContain(' network-id 2 network-cost 10')
    a.agent.addRemoteCandidate(0, parseCandidate(line!.replace('network-cost 10', 'network-cost 900'))!)
    b.agent.addRemoteCandidate(0, a.candidates()[0]!)
    expect(costOf(a.agent.checklist[0]!)).toBe(900)
    wire.run(1_000)
    expect(costOf(a.agent.selectedPair!)).toBe(10)
  })
})

test('an end whose network is known on one of two pairs alone is no reason to choose', () => {
  const { selectedPair } = connected([WIRED]).sides[0].agent
  const at = (cost: number | undefined) => {
    const words = cost === undefined ? '' : ` network-id 1 network-cost ${cost}`
    return parseCandidate(`candidate:1 1 udp 2130706431 10.0.9.2 5000 typ host${words}`)!
  }
  const pair = (ours: number | undefined, theirs: number | undefined) => {
    return { ...selectedPair!, local: at(ours), remote: at(theirs), peersNetwork: undefined }
  }
  expect(costDifference(pair(900, undefined), pair(900, 900))).toBe(0)
  expect(costDifference(pair(undefined, 10), pair(900, 900))).toBe(890)
  expect(costDifference(pair(910, 10), pair(900, 900))).toBe(880)
  expect(costDifference(pair(910, 10), pair(900, undefined))).toBe(-10)
})

test.each(['network-cost 99999', 'network-cost x', 'network-cost -1', 'network-id 70000'])(
  '%s in a candidate line is passed on and counts for nothing',
  (words) => {
    const line = `candidate:1 1 udp 2130706431 10.0.9.2 5000 typ host ${words}`
    const remote = parseCandidate(line)!
    expect(formatCandidate(remote)).toBe(line)
    const wire = connected([WIRED])
    expect(costOf({ ...wire.sides[0].agent.selectedPair!, remote })).toBe(0)
  },
)
