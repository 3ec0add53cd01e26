import { decode, encode } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { formatCandidate, type LocalBase, parseCandidate } from '../src/index.ts'
import { Side, Wire } from './wire.ts'

const MAPPED = { ip: '203.0.113.1', port: 40_000 }
const OTHER = { ip: '203.0.113.1', port: 40_001 }
const SERVER = { scheme: 'stun', address: { ip: '192.0.2.1', port: 3478 }, url: 'stun:192.0.2.1' } as const

function remap(side: Side, now: number, ...mapped: LocalBase['mapped'] & object): void {
  side.agent.gather(now, [{ ...side.bases[0]!, mapped }])
}

/** The agent's outputs since the last call, as words: candidates by their address, `null`, gathering states. */
function news(side: Side): unknown[] {
  const words: unknown[] = []
  for (let output = side.agent.poll(); output; output = side.agent.poll()) {
    if (output.type === 'candidate') words.push(output.candidate && formatCandidate(output.candidate).split(' ')[5])
    if (output.type === 'gatheringstate') words.push(output.state)
  }
  return words
}

describe('mapped addresses', () => {
  test('come, change and go; each change is a gathering of its own', () => {
    const side = new Side(1, ['192.168.1.2'])
    side.agent.gather(0, side.bases)
    expect(news(side)).toEqual(['gathering', '5000', null, 'complete'])
    remap(side, 1, MAPPED)
    expect(news(side)).toEqual(['gathering', '40000', null, 'complete'])
    remap(side, 2, MAPPED)
    expect(side.agent.localCandidates).toHaveLength(2)
    remap(side, 3, OTHER)
    expect(news(side)).toContain('40001')
    expect(side.agent.localCandidates.map(({ address }) => address.port)).toEqual([5000, 40_001])
    remap(side, 4)
    expect(news(side)).toEqual(['gathering', null, 'complete'])
    expect(side.agent.localCandidates.map(({ type }) => type)).toEqual(['host'])
  })

  test('are server-reflexive, with the base as related address, a foundation of their own, and above what servers see', () => {
    const side = new Side(1, ['192.168.1.2'])
    side.agent.gather(0, [{ ...side.bases[0]!, mapped: [MAPPED] }], [SERVER])
    answer(side, { ip: '203.0.113.1', port: 1234 })
    const [, mapped, seen] = side.agent.localCandidates
    expect(mapped).toMatchObject({ type: 'srflx', address: MAPPED, relatedAddress: side.bases[0]!.address })
    expect(seen).toMatchObject({ type: 'srflx', url: SERVER.url })
    expect(mapped?.priority).toBeGreaterThan(seen!.priority)
    expect(mapped?.foundation).not.toBe(seen?.foundation)
    expect(mapped!.url).toBeUndefined()
  })

  test('what a server has seen stays when the router takes its mapping back', () => {
    const side = new Side(1, ['192.168.1.2'])
    side.agent.gather(0, side.bases, [SERVER])
    answer(side, MAPPED)
    remap(side, 100, MAPPED)
    remap(side, 200)
    expect(side.agent.localCandidates.map(({ type }) => type)).toEqual(['host', 'srflx'])
  })

  test('outlive an ICE restart, as they are by then', () => {
    const side = new Side(1, ['192.168.1.2'])
    side.agent.gather(0, side.bases)
    remap(side, 1, MAPPED)
    remap(side, 2, OTHER)
    news(side)
    side.agent.restart(3)
    expect(news(side)).toEqual(['gathering', '5000', '40001', null, 'complete'])
  })

  test('one that comes after the end of candidates is checked by the peer', () => {
    const [a, b] = [new Side(1, ['192.168.1.2']), new Side(2, ['198.51.100.9'])]
    const wire = new Wire(a, b)
    wire.drop = () => true
    wire.connect()
    wire.run(1_000)
    remap(a, wire.now, MAPPED)
    wire.drain()
    b.agent.addRemoteCandidate(wire.now, a.candidates().at(-1)!)
    wire.run(1_000)
    expect(b.all('packet').map(({ packet }) => packet.remote)).toContainEqual(MAPPED)
  })
})

describe('a check from the address of a relay of the peer’s, but from another port', () => {
  // A NAT that maps our port and has a flow of ours to that relay already gives the relay's packets another source port.
  function receive(...lines: string[]) {
    const [a, b] = [new Side(1, ['192.168.1.2']), new Side(2, ['198.51.100.9'])]
    const wire = new Wire(a, b)
    wire.drop = () => true
    wire.connect()
    wire.run(100)
    const { usernameFragment } = b.agent.localParameters
    for (const line of lines) a.agent.addRemoteCandidate(wire.now, { ...parseCandidate(line)!, usernameFragment })
    const check = b.all('packet').find(({ packet }) => packet.remote.ip === '192.168.1.2')!
    const remote = { ip: '192.0.2.1', port: 2000 }
    wire.deliver(a, { ...check.packet, local: a.bases[0]!.address, remote })
    const found = () => a.agent.remoteCandidates.find(({ address }) => address.port === 2000)
    const add = (line: string) => a.agent.addRemoteCandidate(wire.now, { ...parseCandidate(line)!, usernameFragment })
    return { found, add }
  }
  const RELAY = 'candidate:1 1 udp 1000 192.0.2.1 1000 typ relay raddr 0.0.0.0 rport 9'
  const HOST = 'candidate:2 1 udp 2130706431 192.0.2.1 2001 typ host'

  test('is a relay’s, and no better than one', () => {
    expect(receive(RELAY).found()).toMatchObject({ type: 'relay', priority: 1000 })
  })

  test('is the peer’s own where it has other candidates on that address', () => {
    expect(receive(RELAY, HOST).found()).toMatchObject({ type: 'prflx' })
    expect(receive().found()).toMatchObject({ type: 'prflx' })
  })

  test('is what the peer says when it does', () => {
    const { found, add } = receive(RELAY)
    add(HOST.replace('2001', '2000'))
    expect(found()).toMatchObject({ type: 'host' })
  })
})

function answer(side: Side, xorMappedAddress: { ip: string; port: number }): void {
  for (let output = side.agent.poll(); output; output = side.agent.poll()) {
    if (output.type !== 'packet') continue
    const { transactionId } = decode(output.packet.bytes)!
    const attributes = { xorMappedAddress }
    const bytes = encode({ method: 'binding', class: 'success', transactionId, attributes })
    side.agent.handlePacket(50, { ...output.packet, bytes })
  }
}
