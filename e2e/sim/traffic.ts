import type { TrafficPattern } from '../topology/scenario.ts'
import type { Appointment } from './clock.ts'
import type { Peer } from './peer.ts'

/** Milliseconds without a word of the other one after which a layer above has repeated its own, and tells ICE so. */
const UNANSWERED = 1_200
/** How a word of the traffic begins; the time at which it was sent follows. */
const WORD = 'at '

/** Words that two peers keep sending each other, as an application would: they show when data flows. */
export class Traffic {
  readonly #peers: readonly [Peer, Peer]
  #pattern: TrafficPattern | undefined
  readonly #timers = new Map<Peer, Appointment>()
  /** When each one last had no reason to complain, or did. */
  readonly #content = new Map<Peer, number>()

  constructor(a: Peer, b: Peer) {
    this.#peers = [a, b]
  }

  /** From now on in this pattern, whatever it was before. */
  start(pattern: TrafficPattern) {
    this.#pattern = pattern
    for (const peer of this.#peers) if (!this.#timers.has(peer)) this.#speak(peer, pattern)
  }

  stop() {
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }

  /** When the first words that were sent at `time` or later had arrived both ways; Infinity when they have not. */
  flowsSince(time: number): number {
    return Math.max(...this.#peers.map((peer) => firstSentSince(peer, time)))
  }

  /** The longest silence of either direction from `time` until now, milliseconds. */
  longestGap(time: number): number {
    return Math.max(...this.#peers.map((peer) => longestSilence(peer, time)))
  }

  #speak(peer: Peer, { interval, bytes = 0 }: TrafficPattern) {
    if (peer.state !== 'closed' && peer.selected) peer.sendText(`${WORD}${peer.now} `.padEnd(bytes, '.'))
    this.#complain(peer)
    const next = peer.host.at(peer.now + interval, () => this.#speak(peer, this.#pattern!))
    this.#timers.set(peer, next)
  }

  /** As SCTP would, whose every word is acknowledged: both ways have to work. */
  #complain(peer: Peer) {
    const [a, b] = this.#peers
    const heard = Math.min(a.received.at(-1)?.time ?? 0, b.received.at(-1)?.time ?? 0)
    const since = Math.max(heard, this.#content.get(peer) ?? peer.now)
    if (peer.now < since + UNANSWERED) return void this.#content.set(peer, since)
    this.#content.set(peer, peer.now)
    peer.call((agent) => agent.reportNoProgress(peer.now))
  }
}

function firstSentSince({ received }: Peer, time: number): number {
  for (let i = indexOfTime(received, time); i < received.length; i++) {
    const { text, time: receivedAt } = received[i]!
    if (text.startsWith(WORD) && Number.parseFloat(text.slice(WORD.length)) >= time) return receivedAt
  }
  return Number.POSITIVE_INFINITY
}

function longestSilence({ received, now }: Peer, time: number): number {
  let [before, longest] = [time, 0]
  for (let i = indexOfTime(received, time); i < received.length; i++) {
    longest = Math.max(longest, received[i]!.time - before)
    before = received[i]!.time
  }
  return Math.max(longest, now - before)
}

/** Index of the first thing received at `time` or later. */
function indexOfTime(received: Peer['received'], time: number): number {
  let [low, high] = [0, received.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (received[middle]!.time < time) low = middle + 1
    else high = middle
  }
  return low
}
