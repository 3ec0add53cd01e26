/** NATs that give every flow another port, and may have kept the socket's own for the peer. */
import { expect, test } from 'vitest'
import { LINUX_MASQUERADE } from '../topology/nat-types.ts'
import type { Placement } from '../topology/placement.ts'
import { able, EASY, HARD, search, timeToDirect } from './traversal-scene.ts'
import { simulate } from './world.ts'

test('a port that another host holds towards the servers is guessed to be kept for the peer', () => {
  const place: Placement = { nat: LINUX_MASQUERADE, lan: 'home', link: { latency: 10 } }
  const port = 50_000
  simulate(1, (world) => {
    const servers = [world.stunServer(), world.stunServer()]
    const other = world.host('other', place)
    const socket = other.bind(other.attachments[0]!.ip, port)
    for (const { address } of servers) socket.send(address, new Uint8Array(1))
    world.run(50)
    const mapped = [{ ip: '203.0.113.99', port: 4_000 }]
    const [a, b] = [world.peer('a', place, { port, base: () => ({ mapped }) }), world.peer('b', EASY)]
    world.connect(a, b, { latency: 20 })
    expect(timeToDirect(world, [a, b], 1_000)).toBeLessThan(1_000)
    const told = a.outputs('candidate').flatMap(({ candidate }) => candidate ?? [])
    expect(told.map(({ type }) => type)).toEqual(['host', 'srflx', 'srflx', 'srflx', 'srflx'])
    expect(told.at(-1)!.address.port).toBe(port)
    // Nobody's checks wait for those of a guess.
    expect(new Set(told.map(({ foundation }) => foundation)).size).toBe(told.length)
  })
})

test('a guess comes after all else that is direct, and before relays', () => {
  const { a } = search(1, [HARD, EASY], [able, able])
  const told = a
    .outputs('candidate')
    .flatMap(({ candidate }) => (candidate && candidate.type !== 'prflx' ? candidate : []))
  const byPriority = told.toSorted((one, other) => one.priority - other.priority)
  const order = byPriority.map(({ type, address }) =>
    address.port === told[0]!.address.port ? `${type} at its own port` : type,
  )
  expect(order).toEqual(['relay', 'relay', 'srflx at its own port', 'srflx', 'srflx', 'srflx', 'host at its own port'])
})
