/** F49: the other end stays where a path has died, as browsers do. */
import { SearchGate } from '@floe/ice'
import { type Address, decode, sameAddress } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { APDM_RANDOM as HARD } from '../../topology/nat-types.ts'
import { Faults } from '../faults.ts'
import type { Peer, PeerOptions } from '../peer.ts'
import type { RawPeer } from '../raw-peer.ts'
import { EVERY, longestGap, switchesSince, talk } from '../talk.ts'
import type { Datagram } from '../trace.ts'
import { simulate } from '../world.ts'

const LINK = { latency: 20 }

/** Interfaces stay as they are. */
function inhabitant({ host }: Peer | RawPeer) {
  return { host, addAddress() {}, removeAddress() {} }
}

describe('F49 the controlling end stays where a path has died', () => {
  /** `a` has two networks that cost 900, and is controlled by hand. What its checks on either said since: [milliseconds, cost]. */
  function courted(nomination?: number) {
    return simulate(1, (world) => {
      const a = world.peer('a', [{ link: LINK }, { link: LINK }], { base: () => ({ network: { id: 1, cost: 900 } }) })
      const raw = world.rawPeer('raw')
      world.introduce(a, raw)
      world.run(1_000)
      const used = a.selected!.local.base!
      raw.check(used, { useCandidate: true, ...(nomination && { nomination }) })
      for (const { address } of a.sockets) raw.check(address)
      talk(world, [a], 3_000)
      expect(a.selected!.local.base).toBe(used)
      world.network.rules.push(({ source, destination }: Datagram) =>
        [source, destination].some((end) => sameAddress(end, used)) ? 'path cut' : undefined,
      )
      const cut = world.now
      talk(world, [a], 20_000)
      expect(a.agent.role).toBe('controlled')
      expect(a.selected!.local.base).not.toBe(used)
      const requests = raw.requests().filter(({ message }) => message.attributes.networkInfo)
      return {
        movedAfter: a.agent.switches.at(-1)!.at - cut,
        costs: requests.map(({ time, message }): [number, number] => [
          time - cut,
          message.attributes.networkInfo!.cost,
        ]),
      }
    })
  }

  test('libwebrtc: the pair to move to says at once that it costs nothing, for ten seconds', () => {
    const { costs, movedAfter } = courted()
    const free = costs.filter(([, cost]) => cost === 0).map(([time]) => time)
    expect(free[0]! - movedAfter).toBeLessThan(50)
    expect(free.at(-1)! - movedAfter).toBeLessThan(10_100)
    expect(
      new Set(costs.filter(([time]) => time < movedAfter || time > movedAfter + 10_100).map(([, cost]) => cost)),
    ).toEqual(new Set([900]))
  })

  test('one that numbers its nominations decides by itself', () => {
    const { costs, movedAfter } = courted(1)
    expect(new Set(costs.map(([, cost]) => cost))).toEqual(new Set([900]))
    expect(movedAfter - courted().movedAfter).toBe(500)
  })
})

describe('F49 the controlled end stays where a path has died', () => {
  type Mishap = 'dies' | 'goes' | 'falls silent and goes' | 'is mapped anew'

  /** `a` controls; the other end answers every check, and sends to where `follows` has it: Firefox is the last. */
  function scene(
    follows: 'never' | 'the nomination' | 'a higher priority',
    more: PeerOptions = {},
    mishap: Mishap = 'dies',
  ) {
    return simulate(1, (world) => {
      const options = { traversal: { hardNat: 'off', gate: new SearchGate() }, role: 'controlling' } as const
      const networks = mishap === 'is mapped anew' ? [{ link: LINK, nat: HARD }] : [{ link: LINK }, { link: LINK }]
      const a = world.peer('a', networks, { ...options, ...more })
      const raw = world.rawPeer('raw', { link: LINK }, { role: 'controlled' })
      world.introduce(a, raw)
      world.run(1_000)
      const used = a.selected!.local.base!
      const known = a.sockets.map(({ address }) => address)
      let to = raw.requests().at(-1)!.remote
      let held = Math.max(...raw.requests().map(({ message }) => message.attributes.priority ?? 0))
      // Like libwebrtc and floe.
      if (follows === 'the nomination') raw.check(used, { networkInfo: { id: 1, cost: 0 } })
      raw.answer = (request, from) => {
        raw.succeed(from)
        const isNew = !known.some((address) => sameAddress(address, from.remote))
        if (isNew) raw.check(from.remote)
        const { useCandidate, priority = 0 } = request.attributes
        if (!useCandidate || !(follows === 'the nomination' || (follows === 'a higher priority' && priority > held)))
          return
        to = from.remote
        held = priority
      }
      const chat = (ms: number) => {
        for (const end = world.now + ms; world.now < end; world.run(EVERY)) {
          a.sendText('x')
          raw.socket.send(to, Uint8Array.of(99))
        }
      }
      chat(3_000)
      const cut = world.now
      if (mishap === 'goes') a.removeSockets([used])
      else if (mishap === 'is mapped anew')
        new Faults(world, inhabitant(a), inhabitant(raw)).play({ kind: 'nat-reboot', at: 0, of: 'a' })
      else
        world.network.rules.push(({ source, destination }: Datagram) =>
          [source, destination].some((end) => sameAddress(end, used)) ? 'path cut' : undefined,
        )
      if (mishap === 'falls silent and goes') {
        // The other network is being asked then.
        chat(500)
        a.removeSockets([used])
      }
      chat(20_000)
      const isKnown = (address: Address) => known.some((one) => sameAddress(one, address))
      const strangers = raw.requests().filter(({ remote }) => !isKnown(remote))
      const signalled = a.outputs('candidate').map(({ candidate }) => candidate?.address.port)
      const opened =
        a.sockets.length - known.length + Number(!a.sockets.some(({ address }) => sameAddress(address, used)))
      const moves = switchesSince(a, cut).length
      // As if somebody else had asked for one.
      const late = { ip: a.selected!.local.base!.ip, port: 1 }
      a.call((agent) => agent.socketsOpened(world.now, a.selected!.local.base!, [late]))
      const taken = a.agent.localCandidates.some(({ address }) => address === late)
      return {
        taken,
        base: a.selected?.local.base,
        signalled,
        strangers,
        opened,
        moves,
        gap: longestGap(a, cut),
      }
    })
  }

  test('a socket that it has not seen, with a PRIORITY beyond all others, brings it along; data follows there', () => {
    const { base, strangers, opened, gap, moves, signalled } = scene('a higher priority')
    expect([opened, moves]).toEqual([1, 2])
    expect(strangers[0]!.message.attributes.priority).toBeGreaterThan(2 ** 31 - 16)
    expect(base).toEqual(strangers[0]!.remote)
    expect(signalled).not.toContain(base!.port)
    expect(gap).toBeLessThan(1_300)
  })

  test('so does one where the socket before is gone, and where a NAT has given it another port', () => {
    for (const mishap of ['goes', 'falls silent and goes'] as const) {
      const gone = scene('a higher priority', {}, mishap)
      expect([gone.opened, gone.gap < 900], mishap).toEqual([1, true])
    }
    const mapped = scene('a higher priority', {}, 'is mapped anew')
    expect([mapped.opened, mapped.gap < 1_500]).toEqual([1, true])
  })

  test('who follows is spared it, and for whom it is of no use nothing else changes', () => {
    for (const mishap of ['dies', 'goes', 'is mapped anew'] as const)
      expect(scene('the nomination', {}, mishap), mishap).toMatchObject({ opened: 0 })
    expect(scene('the nomination')).toMatchObject({ opened: 0, moves: 1, strangers: [] })
    expect(scene('never')).toMatchObject({ opened: 1, moves: 2 })
  })

  test('where there are no more sockets nothing comes of it, and those that others get are left to them', () => {
    expect(scene('never', { spares: 0 })).toMatchObject({ opened: 0, moves: 1, strangers: [], taken: false })
  })
})

test.each([1, undefined])(
  'F49 the last path dies as well: nothing goes twice over it, nobody is asked to move (%s)',
  (nomination) =>
    simulate(1, (world) => {
      const a = world.peer('a', [{ link: LINK }, { link: LINK }], { base: () => ({ network: { id: 1, cost: 900 } }) })
      const raw = world.rawPeer('raw')
      world.introduce(a, raw)
      world.run(1_000)
      const first = a.selected!.local.base!
      raw.check(first, { useCandidate: true, ...(nomination && { nomination }) })
      for (const { address } of a.sockets) raw.check(address)
      talk(world, [a], 1_000)
      const cut = [first]
      world.network.rules.push(({ source, destination }: Datagram) =>
        cut.some((end) => sameAddress(source, end) || sameAddress(destination, end)) ? 'path cut' : undefined,
      )
      talk(world, [a], 3_000)
      const last = a.selected!.local.base!
      expect(last).not.toBe(first)
      a.removeSockets([first])
      talk(world, [a], 15_000)
      cut.push(last)
      const [data, costs]: [number[], (number | undefined)[]] = [[], []]
      world.network.observers.push({
        sent: ({ source, bytes }) => {
          if (!sameAddress(source, last)) return
          const message = decode(bytes)
          if (!message) data.push(world.now)
          else if (message.class === 'request') costs.push(message.attributes.networkInfo?.cost)
        },
        delivered: () => {},
      })
      talk(world, [a], 8_000)
      expect(a.selected!.local.base).toBe(last)
      expect(data).toHaveLength(8_000 / EVERY)
      expect(new Set(costs)).toEqual(new Set([900]))
    }),
)
