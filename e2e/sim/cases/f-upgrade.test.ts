/** A relay first, and a direct path that was not there at the beginning: it takes over by itself, and stays. */
import { SearchGate } from '@floe/ice'
import { expect, test } from 'vitest'
import type { NatBehavior } from '../../topology/behavior.ts'
import type { Peer } from '../peer.ts'
import { type Session, stage } from '../scenario.ts'
import { simulate, type World } from '../world.ts'

const NAT: NatBehavior = { mapping: 'endpoint-independent', filtering: 'address-and-port-dependent' }
const MESSAGES_EVERY = 20
const DIRECT_FROM = 3_000

/** Two homes with a relay; nothing passes from one to the other until DIRECT_FROM. */
function relayedFirst(world: World, loss: number): Session {
  // A packet has two wires to pass.
  const link = { latency: 20, loss: 1 - Math.sqrt(1 - loss) }
  const scenario = { seed: 1, a: { nat: NAT }, b: { nat: NAT }, relays: [{}], link, limit: 3_000 }
  const session = stage(world, scenario, () => ({ traversal: { hardNat: 'auto', gate: new SearchGate() } }))
  const servers = new Set([...world.servers, ...world.relays].map(({ address }) => address.ip))
  const { a, b } = session
  world.network.rules.push(({ destination }, host) => {
    const isHome = host === a.host || host === b.host
    return isHome && world.now < DIRECT_FROM && !servers.has(destination.ip) ? 'blocked' : undefined
  })
  world.run(DIRECT_FROM)
  expect([a, b].map(({ connected }) => connected)).toEqual([true, true])
  expect([a, b].map(isDirect)).toEqual([false, false])
  return session
}

function isDirect({ connected, selected }: Peer): boolean {
  return connected && selected?.local.type !== 'relay' && selected?.remote.type !== 'relay'
}

function moves(peer: Peer, from: number): string[] {
  return peer.events.flatMap(({ time, output }) =>
    output.type === 'selectedpair' && time >= from ? [`${Math.round(time)} ${output.pair.id} ${output.reason}`] : [],
  )
}

test('F57 a relay gives way to the direct path once, whichever of the sockets that were tried comes first', () => {
  // 203: all answers to the nomination get lost for two seconds; the controlled end's data says as much.
  // 235, 237 and 388: a relayed path with a higher priority turns valid a moment before the direct one.
  for (const seed of [...Array.from({ length: 20 }, (_, i) => i + 1), 203, 235, 237, 388]) {
    simulate(seed, (world) => {
      const { a, b, traffic } = relayedFirst(world, 0.1)
      traffic.start({ interval: MESSAGES_EVERY })
      world.run(20_000)
      expect([a, b].map(isDirect), `seed ${seed}`).toEqual([true, true])
      expect(
        [moves(a, DIRECT_FROM), moves(b, DIRECT_FROM)].map(({ length }) => length),
        `seed ${seed}: ${moves(b, DIRECT_FROM)}`,
      ).toEqual([1, 1])
    })
  }
})

test('F50 F57 and nothing moves for ten minutes at 10 % loss each way', () =>
  simulate(50, (world) => {
    const { a, b, traffic } = relayedFirst(world, 0.1)
    traffic.start({ interval: MESSAGES_EVERY })
    world.run(600_000)
    for (const peer of [a, b]) expect(moves(peer, DIRECT_FROM)).toHaveLength(1)
  }))
