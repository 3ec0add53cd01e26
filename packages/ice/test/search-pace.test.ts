/** A search on a machine that is busy with other things: its timers ring late, and it reads its packets late. */
import { type Address, decode, encode, type Packet, shortTermKey } from '@floe/stun'
import { expect, test } from 'vitest'
import { parseCandidate } from '../src/candidate.ts'
import { SEARCH, TIMING } from '../src/defaults.ts'
import type { AgentOutput, Context } from '../src/outputs.ts'
import { Search } from '../src/search.ts'

const HOST = parseCandidate('candidate:1 1 udp 1 192.168.1.2 5000 typ host')!
const SERVER = { ip: '192.0.2.1', port: 3478 }
const PEER = '203.0.113.9'

/** The search of ports, from the side of an easy NAT. */
class Scene {
  readonly probes: number[] = []
  ended: { readonly at: number; readonly reason: string } | undefined
  now = 0
  /** One way to the server, milliseconds. */
  latency = 10
  /** Whether an answer of the server's is lost. */
  lost = () => false
  readonly #search: Search
  readonly #queue: { readonly at: number; readonly packet: Packet }[] = []

  constructor() {
    const context: Context = {
      timing: TIMING,
      random: counter(),
      verdicts: undefined,
      emit: (output) => this.#emit(output),
      log: () => {},
    }
    this.#search = new Search(0, context, {
      task: { side: 'ports', ip: PEER, ports: Array.from({ length: SEARCH.probes }, (_, i) => 2_000 + i) },
      base: HOST,
      external: { ip: '198.51.100.1', port: 5000 },
      server: SERVER,
      credentials: { username: 'a:b', key: shortTermKey('password') },
      usernameFragment: 'b',
      notBefore: 0,
      claim: () => ({}),
      onrange: () => {},
      onmet: () => {},
      onend: (at, reason) => {
        this.ended ??= { at, reason }
      },
    })
  }

  /** The machine does something for the search only every so many milliseconds. */
  run(duration: number, every: number): void {
    for (const end = this.now + duration; this.now < end && !this.ended; this.now += every) {
      // A process that has stood still reads what has come before its timers ring, and then again.
      for (const due of this.#queue.splice(0).sort((a, b) => a.at - b.at)) {
        if (due.at > this.now) this.#queue.push(due)
        else this.#search.handleResponse(this.now, decode(due.packet.bytes)!, due.packet)
      }
      if (this.now >= this.#search.timeout()) this.#search.handleTimeout(this.now)
    }
  }

  #emit(output: AgentOutput): void {
    if (output.type !== 'packet') return
    const { local, remote, bytes } = output.packet
    if (remote.ip === PEER) return void this.probes.push(this.now)
    if (this.lost()) return
    const { transactionId } = decode(bytes)!
    const answer = encode({ method: 'binding', class: 'success', transactionId, attributes: seen(local) })
    this.#queue.push({ at: this.now + 2 * this.latency, packet: { protocol: 'udp', local, remote, bytes: answer } })
  }
}

test.each([1, 15, 60, 90])('timers that ring every %i ms cost it no probes, and no bursts', (every) => {
  const scene = new Scene()
  scene.run(5_000, every)
  expect(scene.ended).toBeUndefined()
  expect(scene.probes.length).toBeGreaterThanOrEqual(5_000 / SEARCH.probeEvery - 10)
  expect(scene.probes.length).toBeLessThanOrEqual(5_000 / SEARCH.probeEvery + 1)
})

test('after a long pause it goes on as before: a dozen at once, and no more', () => {
  const scene = new Scene()
  scene.run(1_000, 1)
  const before = scene.probes.length
  scene.now += 3_000
  scene.run(1, 1)
  expect(scene.probes.length - before).toBeLessThanOrEqual(12)
})

test('answers that this machine reads late are no sign of a router in trouble', () => {
  const scene = new Scene()
  scene.run(1_500, 1)
  scene.run(10_000, 400)
  expect(scene.ended).toBeUndefined()
})

test('answers that come late are', () => {
  const scene = new Scene()
  scene.run(1_500, 1)
  scene.latency = 200
  scene.run(10_000, 1)
  expect(scene.ended).toMatchObject({ reason: expect.stringContaining('late') })
})

test('no answers are, within two seconds; a machine that stands still cannot tell', () => {
  const scene = new Scene()
  scene.run(1_500, 1)
  scene.lost = () => true
  scene.run(10_000, 1)
  expect(scene.ended).toMatchObject({ reason: expect.stringContaining('does not answer') })
  expect(scene.ended!.at).toBeLessThan(1_500 + 2_100)
  const slow = new Scene()
  slow.run(1_500, 1)
  slow.run(10_000, 1_200)
  expect(slow.ended).toBeUndefined()
})

test('one packet in twenty lost, each way: the search goes on', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const scene = new Scene()
    const random = fractions(seed)
    scene.lost = () => random() < 0.0975
    scene.run(20_000, 5)
    expect(scene.ended, `seed ${seed}`).toBeUndefined()
  }
})

function seen(local: Address) {
  return { xorMappedAddress: { ip: '198.51.100.1', port: local.port } }
}

function counter(): (length: number) => Uint8Array {
  let n = 0
  return (length) => {
    n++
    return Uint8Array.from({ length }, (_, i) => (n >> (8 * (i % 4))) & 255)
  }
}

function fractions(seed: number): () => number {
  let state = seed
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
}
