import { joinRoom, type Room } from '@floe/signaling'
import { createSignalingServer, type SignalingServer } from '@floe/signaling/server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Cable } from './cable.ts'
import { errorOf, firstPeer, gone, messages, reached } from './listen.ts'

let server: SignalingServer
let cable: Cable
let steady: Room
let shaky: Room

const GRACE = 400

beforeEach(async () => {
  server = await createSignalingServer({ resumeGrace: GRACE })
  cable = await Cable.to(server.url)
  steady = await joinRoom(server.url, { room: 'blue' })
  shaky = await joinRoom(cable.url, { room: 'blue' })
})

afterEach(async () => {
  await Promise.all([steady.leave(), shaky.leave()])
  await cable[Symbol.asyncDispose]()
  await server.stop()
})

describe('a broken connection', () => {
  test('comes back as the same peer, and what both said meanwhile arrives once and in order', async () => {
    const [toShaky, toSteady] = [await firstPeer(steady), await firstPeer(shaky)]
    const id = shaky.id
    const heard = Promise.all([messages(toShaky, 3), messages(toSteady, 3)])
    toShaky.send({ bye: '1' })
    toSteady.send({ bye: '1' })
    cable.pull() // with the first two perhaps on their way
    await reached(shaky, 'interrupted')
    for (const peer of [toShaky, toSteady]) peer.send({ bye: '2' })
    cable.plug()
    await reached(shaky, 'open')
    for (const peer of [toShaky, toSteady]) peer.send({ bye: '3' })
    expect(await heard).toEqual([
      [{ bye: '1' }, { bye: '2' }, { bye: '3' }],
      [{ bye: '1' }, { bye: '2' }, { bye: '3' }],
    ])
    expect(shaky.id).toBe(id)
    expect(steady.peers.get(id)).toBe(toShaky)
    expect(toShaky.left).toBeUndefined()
  })

  test('learns who came and went meanwhile', async () => {
    await firstPeer(steady)
    cable.pull()
    await reached(shaky, 'interrupted')
    const third = await joinRoom(server.url, { room: 'blue' })
    const passing = await joinRoom(server.url, { room: 'blue' })
    await passing.leave()
    cable.plug()
    await reached(shaky, 'open')
    await expect.poll(() => [...shaky.peers.keys()]).toEqual([steady.id, third.id])
    await third.leave()
  })

  test('that does not come back in time is a peer that vanished', async () => {
    const peer = await firstPeer(steady)
    cable.pull()
    const before = performance.now()
    expect(await gone(peer)).toBe('vanished')
    expect(performance.now() - before).toBeGreaterThan(GRACE / 2)
    expect(server.peersIn('blue')).toBe(1)
  })

  test('returns under the same id even after its place was given up', async () => {
    const peer = await firstPeer(steady)
    const { id } = shaky
    cable.pull()
    await gone(peer)
    const again = new Promise((resolve) => {
      steady.onpeer = (next) => resolve(next.id)
    })
    cable.plug()
    expect(await again).toBe(id)
    await reached(shaky, 'open')
    expect([...shaky.peers.keys()]).toEqual([steady.id])
  })

  test('ends the room when it lasts longer than the client is willing to wait', async () => {
    const impatient = await joinRoom(cable.url, { room: 'blue', reconnectTimeout: 100 })
    const peer = await firstPeer(impatient)
    cable.pull()
    expect(await impatient.closed).toMatchObject({ code: 'ERR_SIGNALING_UNREACHABLE' })
    expect(await gone(peer)).toBe('closed')
    expect(impatient.state).toBe('closed')
  })
})

describe('a restart of the server', () => {
  test('tells the clients, and leaves peers that come back the same to each other', async () => {
    const through = await joinRoom(cable.url, { room: 'blue' })
    const peers = [shaky.peers.get(through.id) ?? (await arrival(shaky, through.id)), through.peers.get(shaky.id)!]
    const told = errorOf(shaky)
    const successor = await createSignalingServer({ resumeGrace: 5_000 })
    await server.stop()
    expect(await told).toMatchObject({ code: 'ERR_SIGNALING_STOPPED' })
    cable.plug(successor.url)
    await Promise.all([reached(shaky, 'open'), reached(through, 'open')])
    expect(shaky.peers.get(through.id)).toBe(peers[0])
    expect(through.peers.get(shaky.id)).toBe(peers[1])
    await expect.poll(() => successor.peersIn('blue')).toBe(2)
    const heard = messages(peers[1]!, 1)
    peers[0]!.send({ bye: 'still here' })
    expect(await heard).toEqual([{ bye: 'still here' }])
    await through.leave()
    await shaky.leave()
    await successor.stop()
  })

  test('gives those that stay away their grace, then they have vanished', async () => {
    const peer = await firstPeer(shaky)
    const successor = await createSignalingServer({ resumeGrace: 100 })
    await server.stop()
    cable.plug(successor.url)
    expect(await gone(peer)).toBe('vanished')
    await shaky.leave()
    await successor.stop()
  })
})

function arrival(room: Room, id: string) {
  return new Promise<NonNullable<ReturnType<Room['peers']['get']>>>((resolve) => {
    room.onpeer = (peer) => {
      if (peer.id === id) resolve(peer)
    }
  })
}
