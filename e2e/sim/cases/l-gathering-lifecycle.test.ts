import { IceError } from '@floe/ice'
import { decode } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { simulate } from '../world.ts'

const NAT = { mapping: 'endpoint-independent', filtering: 'endpoint-independent' } as const

describe('L95 a dead STUN server delays nothing', () => {
  test('of two servers the good one gives its candidate within one round trip', () => {
    for (const deadFirst of [true, false])
      simulate(1, (world) => {
        const latency = 40
        const dead = [{ dead: true }, {}]
        for (const options of deadFirst ? dead : dead.toReversed()) world.stunServer({ ...options, link: { latency } })
        const agent = world.peer('a', { nat: NAT })
        agent.gather()
        world.run(30_000)
        const at = (type: string) =>
          agent.timeOf((output) => output.type === 'candidate' && (output.candidate?.type ?? 'end') === type)
        expect(at('host')).toBe(0)
        expect(at('srflx')).toBeLessThanOrEqual(2 * latency + 50)
        expect(at('end')).toBeLessThanOrEqual(5_500)
        expect(agent.outputs('candidateerror')).toMatchObject([{ errorCode: 701 }])
        expect(agent.agent.gatheringState).toBe('complete')
      })
  })

  test('with a dead server alone two peers on one LAN connect at once', () =>
    simulate(1, (world) => {
      world.stunServer({ dead: true })
      const lan = { lan: 'home', nat: NAT }
      const [a, b] = [world.peer('a', lan), world.peer('b', lan)]
      world.connect(a, b)
      expect(world.runUntil(() => a.connected && b.connected, 100)).toBe(true)
    }))

  test('a server that refuses is an error of its own and ends gathering at once', () =>
    simulate(1, (world) => {
      world.stunServer({ error: { code: 500, reason: 'Server Error' } })
      const agent = world.peer('a', { nat: NAT })
      agent.gather()
      world.run(500)
      expect(agent.outputs('candidateerror')).toMatchObject([{ errorCode: 500 }])
      expect(agent.agent.gatheringState).toBe('complete')
    }))
})

test('L96 the first STUN requests are lost: they are repeated, the candidate comes', () =>
  simulate(1, (world) => {
    const server = world.stunServer()
    let lost = 0
    world.network.rules.push(({ destination }) =>
      destination.ip === server.address.ip && lost++ < 2 ? 'request lost' : undefined,
    )
    const agent = world.peer('a', { nat: NAT })
    agent.gather()
    world.run(3_000)
    expect(agent.outputs('candidate').map(({ candidate }) => candidate?.type ?? 'end')).toEqual([
      'host',
      'srflx',
      'end',
    ])
  }))

test('L96 an answer of a server that was not asked, or from elsewhere, gives no candidate', () =>
  simulate(1, (world) => {
    const server = world.stunServer({ dead: true })
    const liar = world.rawPeer('liar')
    const agent = world.peer('a')
    world.network.rules.push(({ destination, bytes }) => {
      if (destination.ip !== server.address.ip) return undefined
      const { method, transactionId } = decode(bytes)!
      const attributes = { xorMappedAddress: { ip: '198.51.100.66', port: 6 } }
      liar.send(agent.sockets[0]!.address, { method, class: 'success', transactionId, attributes })
      return undefined
    })
    agent.gather()
    world.run(30_000)
    expect(server.requests).toBeGreaterThan(0)
    expect(agent.outputs('candidate').map(({ candidate }) => candidate?.type ?? 'end')).toEqual(['host', 'end'])
  }))

test('L96 while no pair is selected the mapping is kept open, afterwards the server is left alone', () =>
  simulate(1, (world) => {
    const server = world.stunServer()
    const a = world.peer('a', { nat: { ...NAT, mappingTimeout: 20_000 } })
    const b = world.peer('b')
    a.gather()
    world.run(60_000)
    expect(server.requests).toBeGreaterThanOrEqual(4)
    world.connect(a, b)
    world.run(1_000)
    expect(a.connected && b.connected).toBe(true)
    const before = server.requests
    world.run(120_000)
    expect(server.requests).toBe(before)
  }))

describe('L97 close', () => {
  test('at any moment ends everything: no output, no timer, no throw', () => {
    for (const moment of [0, 1, 10, 21, 40, 60, 100, 5_000, 40_000])
      simulate(1, (world) => {
        world.stunServer({ link: { latency: 30 } })
        const [a, b] = [world.peer('a', { nat: NAT }), world.peer('b', { nat: NAT })]
        world.connect(a, b, { trickle: false })
        world.run(moment)
        a.oncandidate = undefined
        b.oncandidate = undefined
        a.close()
        a.close()
        expect(a.state).toBe('closed')
        expect(a.agent.timeout()).toBe(Number.POSITIVE_INFINITY)
        expect(a.states.filter((state) => state === 'closed')).toHaveLength(1)
      })
  })

  test('afterwards every call is refused with a typed error, and packets are not ours', () =>
    simulate(1, (world) => {
      const agent = world.peer('a')
      const raw = world.rawPeer('raw')
      world.introduce(agent, raw)
      world.run(100)
      agent.close()
      const closed = expect.objectContaining({ code: 'ERR_ICE_CLOSED' })
      expect(() => agent.gather()).toThrow(closed)
      expect(() => agent.start(raw.parameters)).toThrow(closed)
      expect(() => agent.sendText('hello')).toThrow(IceError)
      expect(() => agent.restart()).toThrow(closed)
      const before = raw.received.length
      raw.check(agent.sockets[0]!.address)
      world.run(100)
      expect(raw.received).toHaveLength(before)
    }))
})
