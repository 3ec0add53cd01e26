import { type Address, decode, encode, isIPv4, newTransactionId, type Packet, sameAddress } from '@floe/stun'
import type { Fault } from '../topology/fault.ts'
import type { Scenario } from '../topology/scenario.ts'
import { Faults } from './faults.ts'
import { isV6 } from './link.ts'
import { inward, outward } from './nat64.ts'
import type { Host, Socket } from './network.ts'
import { placementsOf } from './scenario.ts'
import { Trace } from './trace.ts'
import { World } from './world.ts'

/** Milliseconds between two rounds of probes, and how many rounds there are. */
const ROUND = 200
const ROUNDS = 25
/**
 * Rounds without news after which all further ones would go the same way: no wire is left to chance, and no mapping ends
 * so soon. What news leads to shows within a round, a round trip, and a signaling message.
 */
const QUIET_ROUNDS = 3
/** Milliseconds by which one side begins earlier. */
const HEAD_STARTS = [0, 400, -400]

/** Two NATs that give each probe a new port would keep two probers chasing each other. */
const MOST_TARGETS = 16

/** First bytes of a probe and of its answer, which repeats the rest; neither is STUN. */
const PING = 0x80
const PONG = 0x81

/**
 * Asks the network itself whether two peers can meet without a relay: the scenario's boxes, with perfect wires, and instead of
 * agents two that know no ICE. They learn their addresses from the same servers, tell each other, and send to every
 * address from every socket until answers come. `perhaps`: it depends on who begins.
 */
export function tryToMeet(scenario: Scenario, faults: readonly Fault[] = []): 'must' | 'cannot' | 'perhaps' {
  const [first, ...others] = HEAD_STARTS
  const met = meet(scenario, faults, first!)
  if (others.some((headStart) => meet(scenario, faults, headStart) !== met)) return 'perhaps'
  return met ? 'must' : 'cannot'
}

/** `faults` that last are there from the beginning; the others have passed. */
function meet(scenario: Scenario, faults: readonly Fault[], headStart: number): boolean {
  const world = new World(scenario.seed, new Trace(false))
  const latency = scenario.link?.latency ?? 0
  for (const { dead = false, ...options } of scenario.servers ?? [{}]) world.stunServer({ ...options, dead })
  for (const { dead = false } of scenario.relays ?? []) world.turnServer({ dead })
  const prober = (name: 'a' | 'b') => {
    const placements = placementsOf(scenario, name).map((placement) => ({ ...placement, link: { latency } }))
    return new Prober(world, world.host(name, placements))
  }
  const [a, b] = [prober('a'), prober('b')]
  const played = new Faults(world, a, b)
  for (const fault of faults) if (lasts(fault)) played.play(fault)
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const { latency: delay = 20 } = scenario.signaling ?? {}
    const ms = typeof delay === 'number' ? delay : delay[one === a ? 0 : 1]
    one.onaddress = (address) => world.network.clock.after(ms, () => other.learn(address))
  }
  world.network.clock.at(Math.max(0, -headStart), () => a.begin())
  world.network.clock.at(Math.max(0, headStart), () => b.begin())
  const quiet = QUIET_ROUNDS * ROUND + longestRoundTrip(scenario, faults)
  const isOver = () => (a.met && b.met) || world.now > Math.max(a.lastNews, b.lastNews) + quiet
  world.runUntil(isOver, ROUND * ROUNDS)
  return a.met && b.met
}

/** With the signaling message that may come between. Two wires each way, as long as the longest, and those of the servers. */
function longestRoundTrip({ link, signaling, servers = [], relays = [] }: Scenario, faults: readonly Fault[]): number {
  const { latency: told = 20 } = signaling ?? {}
  const damage = faults.filter(lasts).flatMap((fault) => (fault.kind === 'link' ? [fault.quality] : []))
  // The next round may bring what this one has lost.
  if (damage.some(({ loss, jitter, reorder, bursts }) => loss || jitter || reorder || bursts)) return Infinity
  const wires = damage.map(({ latency = 0 }) => latency)
  const outer = [...servers, ...relays].map((server) => server.link?.latency ?? 0)
  const wire = Math.max(link?.latency ?? 0, ...wires, ...outer)
  return 4 * wire + Math.max(...[told].flat())
}

/** Changes the network for good, and is not about a moment in the past. */
function lasts(fault: Fault): fault is Exclude<Fault, { kind: 'restart' | 'signaling-down' }> {
  // A TURN server tells addresses too.
  if (fault.kind === 'link' || fault.kind === 'server-down' || fault.kind === 'relay-down') {
    return fault.for === undefined
  }
  return fault.kind === 'interface-gone' || fault.kind === 'interface-new'
}

/** A hole puncher without any protocol: whoever answers has been met. */
class Prober {
  readonly host: Host
  onaddress: (address: Address) => void = () => {}
  met = false
  /** When it last began, learnt where to send, or was heard for the first time. */
  lastNews = Number.POSITIVE_INFINITY
  readonly #world: World
  /** In the order in which they were learnt: a probe names its target by number. */
  readonly #targets = new Map<Socket, Address[]>()
  readonly #remote: Address[] = []
  #begun = false

  constructor(world: World, host: Host) {
    this.#world = world
    this.host = host
    for (const { ip } of host.attachments) this.addAddress(ip)
  }

  addAddress(ip: string) {
    const socket = this.host.bind(ip, undefined, (packet) => this.#receive(socket, packet))
    this.#targets.set(socket, [])
  }

  removeAddress(ip: string) {
    for (const socket of this.#targets.keys()) if (socket.address.ip === ip) this.#targets.delete(socket)
  }

  begin() {
    this.#begun = true
    this.lastNews = this.#world.now
    for (const socket of this.#targets.keys()) {
      this.onaddress(socket.address)
      const mapped = this.#world.mapped(socket.address)
      if (mapped) this.onaddress(mapped)
      for (const { address } of this.#world.configuredServers) {
        if (this.#reaches(socket, address)) this.#ask(socket, address)
      }
      for (const address of this.#remote) this.#aim(socket, address)
    }
    this.#round()
  }

  learn(address: Address) {
    this.#remote.push(address)
    for (const socket of this.#targets.keys()) this.#aim(socket, address)
  }

  #aim(socket: Socket, address: Address) {
    const targets = this.#targets.get(socket)!
    if (
      !this.#reaches(socket, address) ||
      targets.length >= MOST_TARGETS ||
      targets.some((known) => sameAddress(known, address))
    )
      return
    targets.push(address)
    this.#hear()
  }

  #hear() {
    if (this.#begun) this.lastNews = this.#world.now
  }

  #ask(socket: Socket, server: Address) {
    const transactionId = newTransactionId(this.#world.network.random.bytes)
    socket.send(
      outward(socket.address, server),
      encode({ method: 'binding', class: 'request', transactionId, attributes: {} }),
    )
  }

  #round() {
    for (const [socket, targets] of this.#targets) {
      for (const [index, target] of targets.entries())
        socket.send(outward(socket.address, target), Uint8Array.of(PING, index))
    }
    this.#world.network.clock.after(ROUND, () => this.#round())
  }

  #reaches({ address }: Socket, to: Address): boolean {
    return sameFamily(address, to) || (isIPv4(to.ip) && this.#world.isTranslated(this.host, address.ip))
  }

  #receive(socket: Socket, { bytes, remote: from }: Packet) {
    if (!this.#begun) return
    const remote = inward(from)
    const [kind, index] = bytes
    if (kind === PING) {
      this.#aim(socket, remote)
      socket.send(outward(socket.address, remote), Uint8Array.of(PONG, index!))
    } else if (kind === PONG) {
      // As in RFC 8445 §7.2.5.2.1: an answer from elsewhere shows no path.
      const target = this.#targets.get(socket)?.[index!]
      if (target && sameAddress(target, remote) && !this.met) {
        this.met = true
        this.#hear()
      }
    } else {
      const mapped = decode(bytes)?.attributes.xorMappedAddress
      if (!mapped) return
      this.#hear()
      this.onaddress(mapped)
    }
  }
}

function sameFamily(a: Address, b: Address): boolean {
  return isV6(a.ip) === isV6(b.ip)
}
