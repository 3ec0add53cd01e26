/** Words that peers say to each other, and how long one had to wait for some. Times in milliseconds. */
import type { Peer } from './peer.ts'
import type { World } from './world.ts'

/** Between two words of one peer, unless told. */
export const EVERY = 20

export function talk(world: World, peers: readonly Peer[], ms: number, every = EVERY) {
  for (let end = world.now + ms, n = 0; world.now < end; n++) {
    for (const peer of peers) peer.sendText(`${peer.name} ${n}`)
    world.run(every)
  }
}

/** The longest time without a word since `from`; NaN, which is below no bound, when none came at all. */
export function longestGap({ received }: Peer, from: number): number {
  const times = received.map(({ time }) => time).filter((time) => time >= from)
  const gaps = times.slice(1).map((time, i) => time - times[i]!)
  return Math.max(times[0]! - from, ...gaps)
}

/** Why data has moved since then, each time. */
export function switchesSince(peer: Peer, time: number): string[] {
  return peer.agent.switches.filter(({ at }) => at >= time).map(({ reason }) => reason)
}
