import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { IceAgent } from '../src/index.ts'
import { parseCandidate } from '../src/index.ts'
import { Side, Wire } from './wire.ts'

test('M100 arbitrary candidate lines never throw', () => {
  const word = fc.oneof(
    fc.constantFrom(
      'candidate:1',
      '1',
      'udp',
      'tcp',
      'typ',
      'host',
      'raddr',
      'rport',
      'tcptype',
      'active',
      '::1',
      '10.0.0.1',
    ),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 14 }), (words) => void parseCandidate(words.join(' '))),
    { numRuns: 3000 },
  )
})

/** Packets a stranger may send: noise, and our own packets cut, altered, repeated or sent back. */
test('M100 hostile packets never throw, never change state, never make the agent send more than it got', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(), fc.nat(), fc.uint8Array({ maxLength: 120 }), fc.nat(3)), {
        minLength: 1,
        maxLength: 30,
      }),
      (attacks) => {
        const wire = new Wire(new Side(1, ['10.0.0.1']), new Side(2, ['10.0.0.2']))
        wire.latency = 10
        wire.connect()
        wire.run(500)
        const [a] = wire.sides
        const sent = a.all('packet').map(({ packet }) => packet.bytes)
        const before = view(a.agent)
        for (const [which, position, noise, kind] of attacks) {
          const original = sent[which % sent.length]!
          const bytes = [noise, altered(original, position), original.slice(0, position % original.length), original][
            kind
          ]!
          const sizeBefore = a.all('packet').length
          const remote = { ip: '192.0.2.66', port: 1024 + (position % 60000) }
          wire.deliver(a, { protocol: 'udp', local: a.bases[0]!.address, remote, bytes })
          expect(a.all('packet').length).toBe(sizeBefore)
        }
        expect(view(a.agent)).toEqual(before)
      },
    ),
    { numRuns: 200 },
  )
})

test('M100 any order of calls: nothing throws but IceError, and closing ends every timer', () => {
  const call = fc.constantFrom('gather', 'start', 'candidate', 'end', 'restart', 'send', 'time', 'remove', 'deliver')
  fc.assert(
    fc.property(fc.array(fc.tuple(call, fc.nat(1)), { maxLength: 60 }), fc.integer(), (calls, seed) => {
      const wire = new Wire(new Side(seed, ['10.0.0.1', 'fd00::1']), new Side(seed + 1, ['10.0.0.2', 'fd00::2']))
      wire.latency = 5
      for (const [name, index] of calls) act(wire, name, index)
      for (const { agent } of wire.sides) {
        agent.close(wire.now)
        expect(agent.timeout()).toBe(Number.POSITIVE_INFINITY)
      }
    }),
    { numRuns: 500 },
  )
})

function act(wire: Wire, name: string, index: number): void {
  const side = wire.sides[index]!
  const peer = wire.sides[1 - index]!
  const { agent } = side
  if (name === 'gather') agent.gather(wire.now, side.bases)
  else if (name === 'start' && !agent.remoteParameters) agent.start(wire.now, peer.agent.localParameters)
  else if (name === 'candidate')
    for (const candidate of peer.agent.localCandidates) agent.addRemoteCandidate(wire.now, candidate)
  else if (name === 'end') agent.addRemoteCandidate(wire.now, null)
  else if (name === 'restart') agent.restart(wire.now)
  else if (name === 'send') agent.send(wire.now, Uint8Array.of(50))
  else if (name === 'time') agent.handleTimeout(wire.now)
  else if (name === 'remove') agent.removeLocalBases(wire.now, [side.bases[0]!.address])
  else wire.run(50)
  wire.drain()
}

function altered(bytes: Uint8Array, position: number): Uint8Array {
  const copy = bytes.slice()
  copy[position % copy.length]! ^= 1 + (position % 255)
  return copy
}

function view(agent: IceAgent): unknown {
  const pairs = agent.checklist.map(({ id, state, nominated, selected }) => ({ id, state, nominated, selected }))
  return { state: agent.state, role: agent.role, remotes: agent.remoteCandidates.length, pairs }
}
