/** The stage of the TURN cases: a client, a model server and a peer on the open internet, 20 ms apart. */
import type { Address } from '@floe/stun'
import { expect } from 'vitest'
import type { Socket } from './network.ts'
import { TurnClient, type TurnClientOptions } from './turn-client.ts'
import { type TurnBehavior, TurnServer } from './turn-server.ts'
import { simulate, type World } from './world.ts'

/** ms one way between anybody and the server. */
export const LATENCY = 20
export const ROUND_TRIP = 2 * LATENCY
export const HOUR = 3_600_000

export interface Heard {
  readonly text: string
  readonly from: Address
}

export interface Scene {
  readonly world: World
  readonly server: TurnServer
  readonly client: TurnClient
  /** Another host on the internet, and what it got. */
  readonly peer: Socket
  readonly heard: Heard[]
}

export function scene(behavior: TurnBehavior, body: (scene: Scene) => void, options: TurnClientOptions = {}) {
  simulate(1, (world) => {
    const link = { latency: LATENCY }
    const addresses = { ip: '192.0.2.10', ip6: '2001:db8:10::1' }
    const server = new TurnServer(world.network, 'turn', { ...addresses, behavior, link })
    const client = new TurnClient(world.host('client'), server, options)
    const heard: Heard[] = []
    const peer = listen(world, 'peer', heard)
    body({ world, server, client, peer, heard })
  })
}

export function listen(world: World, name: string, heard: Heard[], family: 4 | 6 = 4): Socket {
  const host = world.host(name, { family })
  return host.bind(host.attachments[0]!.ip, undefined, ({ remote, bytes }) =>
    heard.push({ text: new TextDecoder().decode(bytes), from: remote }),
  )
}

export function say(socket: Socket, to: Address, text: string) {
  socket.send(to, new TextEncoder().encode(text))
}

/** Allocates, permits the peer, and lets all answers come. */
export function establish({ world, client, peer }: Scene, more: { readonly channel?: boolean } = {}) {
  client.call((allocation, now) => allocation.allocate(now))
  client.call((allocation, now) => allocation.createPermission(now, peer.address.ip))
  if (more.channel) client.call((allocation, now) => allocation.bindChannel(now, peer.address))
  world.run(10 * ROUND_TRIP)
  expect(client.allocation.state).toBe('allocated')
}
