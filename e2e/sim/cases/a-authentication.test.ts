import { IceError } from '@floe/ice'
import { encode, newTransactionId, shortTermKey } from '@floe/stun'
import { expect, test } from 'vitest'
import { appendAttribute, corruptEnd, sign } from '../forge.ts'
import type { Peer } from '../peer.ts'
import { simulate, type World } from '../world.ts'

const WRONG_KEY = shortTermKey('not the password of anybody here')
/** Nothing at the end, so that a test may add it. */
const BARE = { fingerprint: false }
/** An unknown comprehension-required attribute (RFC 8489 §14). */
const UNKNOWN = 0x7ffe
const XOR_MAPPED_ADDRESS = 0x0020
const USE_CANDIDATE = 0x0025

test('A2 a request with wrong or missing MESSAGE-INTEGRITY is never answered with success and makes no pair', () => {
  for (const key of [WRONG_KEY, undefined])
    simulate(1, (world) => {
      const { agent, raw, to } = strangers(world)
      const id = raw.check(to, { useCandidate: true }, { key })
      world.run(1_000)
      const answer = raw.responseTo(id)
      expect([undefined, 400, 401]).toContain(answer?.attributes.errorCode?.code)
      expect(answer?.class).not.toBe('success')
      expect(agent.agent.checklist).toEqual([])
      expect(agent.agent.remoteCandidates).toEqual([])
    })
})

test('A2 a response with wrong or missing MESSAGE-INTEGRITY is ignored, the transaction stays open', () => {
  for (const key of [WRONG_KEY, undefined])
    simulate(1, (world) => {
      const { agent, raw } = acquainted(world)
      raw.answer = (_, from) => raw.succeed(from, undefined, { key })
      world.run(100)
      expect(pairState(agent)).toBe('in-progress')
      raw.answer = true
      world.run(1_000)
      const [first, second] = raw.requests(true)
      expect(second!.message.transactionId).toBe(first!.message.transactionId)
      expect(pairState(agent)).toBe('succeeded')
    })
})

test('A2 an error response with wrong or missing MESSAGE-INTEGRITY fails nothing', () => {
  for (const key of [WRONG_KEY, undefined])
    for (const code of [400, 401, 403, 487])
      simulate(1, (world) => {
        const { agent, raw } = acquainted(world)
        const { role } = agent.agent
        raw.answer = (_, from) => raw.fail(from, code, 'forged', { key })
        world.run(100)
        expect({ state: pairState(agent), role: agent.agent.role }).toEqual({ state: 'in-progress', role })
      })
})

test('A3 a request or response with a wrong FINGERPRINT is ignored', () =>
  simulate(1, (world) => {
    const { agent, raw, to } = acquainted(world)
    raw.answer = false
    const request = encode(raw.checkMessage(), { key: shortTermKey(raw.remote!.password), fingerprint: true })
    raw.socket.send(to, corruptEnd(request))
    world.run(10)
    expect(raw.received.filter(({ message }) => message?.class !== 'request')).toEqual([])
    raw.answer = ({ transactionId }, { remote }) => {
      const response = { method: 'binding', class: 'success', transactionId } as const
      const attributes = { xorMappedAddress: remote }
      const key = shortTermKey(raw.parameters.password)
      raw.socket.send(to, corruptEnd(encode({ ...response, attributes }, { key, fingerprint: true })))
    }
    world.run(1_000)
    expect(raw.requests(true).length).toBeGreaterThan(1)
    expect(pairState(agent)).toBe('in-progress')
  }))

test('A4 a request for another user is ignored and makes no pair', () =>
  simulate(1, (world) => {
    const { agent, raw, to } = strangers(world)
    const { usernameFragment } = raw.remote!
    for (const username of [
      'else:raw',
      `${usernameFragment}x:raw`,
      `x${usernameFragment}:raw`,
      usernameFragment,
      ':',
      '',
    ]) {
      const id = raw.check(to, { useCandidate: true }, { username })
      world.run(50)
      expect(raw.responseTo(id)?.class).not.toBe('success')
    }
    raw.check(to, { useCandidate: true }, { without: ['username'] })
    world.run(50)
    expect(agent.agent.checklist).toEqual([])
  }))

test('A4 a request that names another sender than the peer makes no pair', () =>
  simulate(1, (world) => {
    const { agent, raw, to } = strangers(world)
    raw.check(to, { useCandidate: true }, { username: `${raw.remote!.usernameFragment}:somebodyElse` })
    world.run(1_000)
    expect(agent.agent.checklist).toEqual([])
  }))

test('A5 an unknown comprehension-required attribute in a request is answered with 420 and does nothing', () =>
  simulate(1, (world) => {
    const { agent, raw, to } = strangers(world)
    const message = raw.checkMessage({ useCandidate: true })
    raw.socket.send(to, sign(appendAttribute(encode(message, BARE), UNKNOWN), raw.remote!.password))
    world.run(50)
    const { errorCode, unknownAttributes } = raw.responseTo(message.transactionId)!.attributes
    expect({ code: errorCode?.code, unknownAttributes }).toEqual({ code: 420, unknownAttributes: [UNKNOWN] })
    expect(agent.agent.checklist).toEqual([])
  }))

test('A5 an unknown comprehension-required attribute in a response fails the transaction', () =>
  simulate(1, (world) => {
    const { agent, raw, to } = acquainted(world)
    raw.answer = ({ transactionId }, { remote }) => {
      const attributes = { xorMappedAddress: remote }
      const response = encode({ method: 'binding', class: 'success', transactionId, attributes }, BARE)
      raw.socket.send(to, sign(appendAttribute(response, UNKNOWN), raw.parameters.password))
    }
    world.run(100)
    expect(pairState(agent)).toBe('failed')
  }))

test('A5 an indication with an unknown comprehension-required attribute is dropped: it does not count as life', () =>
  simulate(1, (world) => {
    const { agent, raw, to } = silentAfterConnect(world)
    every(world, 2_000, 14_000, () => raw.socket.send(to, appendAttribute(indication(world), UNKNOWN)))
    expect(agent.state).toBe('disconnected')
  }))

test('A6 attributes after MESSAGE-INTEGRITY are ignored', () =>
  simulate(1, (world) => {
    const { agent, raw, to } = acquainted(world)
    world.run(100)
    expect(pairState(agent)).toBe('succeeded')
    const request = sign(encode(raw.checkMessage(), BARE), raw.remote!.password)
    raw.socket.send(to, appendAttribute(request, USE_CANDIDATE))
    world.run(100)
    expect(agent.selected?.nominated).toBe(false)
    raw.socket.send(to, sign(encode(raw.checkMessage({ useCandidate: true }), BARE), raw.remote!.password))
    world.run(100)
    expect(agent.selected?.nominated).toBe(true)
  }))

test('A6 a mapped address after MESSAGE-INTEGRITY is not one', () =>
  simulate(1, (world) => {
    const { agent, raw, to } = acquainted(world)
    raw.answer = ({ transactionId }) => {
      const response = encode({ method: 'binding', class: 'success', transactionId, attributes: {} }, BARE)
      const mapped = Uint8Array.of(0, 1, 0x33, 0x2d, 0xea, 0x12, 0xd5, 0x43)
      raw.socket.send(to, appendAttribute(sign(response, raw.parameters.password), XOR_MAPPED_ADDRESS, mapped))
    }
    world.run(100)
    expect(agent.selected).toBeUndefined()
    expect(pairState(agent)).not.toBe('succeeded')
  }))

test('A9 a response with an unknown transaction id is ignored', () =>
  simulate(1, (world) => {
    const { agent, raw } = acquainted(world)
    raw.answer = (_, from) =>
      raw.succeed(from, undefined, { transactionId: newTransactionId(world.network.random.bytes) })
    world.run(200)
    expect(pairState(agent)).toBe('in-progress')
  }))

test('A10 a response from another address or port than the request went to makes nothing valid', () => {
  for (const source of [
    { ip: '203.0.113.200', port: 7 },
    { ip: '203.0.113.2', port: 7 },
  ])
    simulate(1, (world) => {
      const { agent, raw } = acquainted(world)
      raw.answer = (_, from) => raw.succeed(from, undefined, { source })
      world.run(5_000)
      expect(['in-progress', 'failed']).toContain(pairState(agent))
      expect(agent.selected).toBeUndefined()
    })
})

test('A10 a response to another of our addresses than the request left from makes nothing valid', () =>
  simulate(1, (world) => {
    const agent = world.peer('a', [{}, { ip: '203.0.113.50' }])
    const raw = world.rawPeer('raw')
    raw.answer = (_, from) => {
      const other = agent.sockets.find(({ address }) => address.ip !== from.remote.ip)!.address
      raw.succeed({ ...from, remote: other }, { xorMappedAddress: from.remote })
    }
    world.introduce(agent, raw)
    world.run(5_000)
    expect(agent.agent.checklist).toHaveLength(2)
    expect(agent.agent.checklist.filter(({ state }) => state === 'succeeded')).toEqual([])
  }))

test('A11 a binding indication is not answered, and counts as life but not as consent', () =>
  simulate(1, (world) => {
    const { agent, raw, to } = silentAfterConnect(world)
    const before = raw.received.length
    every(world, 2_000, 14_000, () => raw.socket.send(to, indication(world)))
    expect(agent.state).not.toBe('disconnected')
    expect(raw.received.slice(before).every(({ message }) => message?.class === 'request')).toBe(true)
    every(world, 2_000, 26_000, () => raw.socket.send(to, indication(world)))
    expect(agent.sendText('anybody there?')).toBe(false)
  }))

test('A13 application data that looks like STUN is refused with a typed error, other data is sent', () =>
  simulate(1, (world) => {
    const { agent, raw } = acquainted(world)
    world.run(100)
    const stun = encode({
      method: 'binding',
      class: 'indication',
      transactionId: newTransactionId(world.network.random.bytes),
      attributes: {},
    })
    expect(() => agent.call((it) => it.send(world.now, stun))).toThrow(IceError)
    expect(() => agent.call((it) => it.send(world.now, stun))).toThrow(
      expect.objectContaining({ code: 'ERR_ICE_ARGUMENT' }),
    )
    expect(agent.sendText('hello')).toBe(true)
    world.run(50)
    expect(new TextDecoder().decode(raw.received.at(-1)!.bytes)).toBe('hello')
  }))

/** The agent knows the raw peer's parameters but no candidate of it. */
function strangers(world: World) {
  const agent = world.peer('a')
  const raw = world.rawPeer('raw')
  raw.remote = agent.agent.localParameters
  agent.gather()
  agent.start(raw.parameters, 'controlled')
  return { agent, raw, to: agent.sockets[0]!.address }
}

/** The agent is controlled and checks the raw peer's one candidate. */
function acquainted(world: World) {
  const agent = world.peer('a')
  const raw = world.rawPeer('raw')
  world.introduce(agent, raw)
  return { agent, raw, to: agent.sockets[0]!.address }
}

/** Connected, and from now on the raw peer answers nothing. */
function silentAfterConnect(world: World) {
  const all = acquainted(world)
  all.raw.check(all.to, { useCandidate: true })
  world.run(200)
  expect(all.agent.connected).toBe(true)
  all.raw.answer = false
  return all
}

function every(world: World, interval: number, duration: number, act: () => void) {
  for (let time = 0; time < duration; time += interval) {
    act()
    world.run(interval)
  }
}

function indication(world: World): Uint8Array {
  const transactionId = newTransactionId(world.network.random.bytes)
  return encode({ method: 'binding', class: 'indication', transactionId, attributes: {} }, BARE)
}

function pairState({ agent }: Peer): string | undefined {
  return agent.checklist[0]?.state
}
