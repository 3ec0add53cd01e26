import { type CandidatePair, IceAgent, type IceRole } from '@floe/ice'
import { decode, isStun } from '@floe/stun'
import type { Host } from './network.ts'
import { World } from './world.ts'

/** A fault put into the agents from outside, to see whether a search finds it. */
export interface PlantedFault {
  readonly name: string
  /** For every world while it is planted. */
  readonly prepare?: (world: World) => void
  /** For the process; returns how to undo it. */
  readonly plant?: () => () => void
}

export const PLANTED_FAULTS: readonly PlantedFault[] = [
  { name: 'all pairs have one priority', plant: () => plantPriority(() => 1n) },
  {
    name: 'pair priorities have MIN and MAX swapped',
    plant: () => plantPriority((g, d) => 2n ** 32n * BigInt(Math.max(g, d)) + 2n * BigInt(Math.min(g, d))),
  },
  { name: '487 is ignored', plant: plantDeafness },
  { name: 'requests are never repeated', prepare: forbidRepetition },
  { name: 'deadlines are told a second too late', plant: plantLateness },
]

/** Pairs are no export of the package, but every agent holds some. */
function plantPriority(priority: (controlling: number, controlled: number) => bigint): () => void {
  const world = new World(1)
  const [a, b] = [world.peer('a'), world.peer('b')]
  world.connect(a, b)
  world.run(1_000)
  const prototype = Object.getPrototypeOf(a.agent.checklist[0])
  const { updatePriority } = prototype
  prototype.updatePriority = function (
    this: { -readonly [K in keyof CandidatePair]: CandidatePair[K] },
    role: IceRole,
  ) {
    const [mine, theirs] = [this.local.priority, this.remote.priority]
    this.priority = role === 'controlling' ? priority(mine, theirs) : priority(theirs, mine)
  }
  return () => {
    prototype.updatePriority = updatePriority
  }
}

function plantDeafness(): () => void {
  const { handlePacket } = IceAgent.prototype
  IceAgent.prototype.handlePacket = function (now, packet) {
    const message = isStun(packet.bytes) ? decode(packet.bytes) : undefined
    return message?.attributes.errorCode?.code === 487 || handlePacket.call(this, now, packet)
  }
  return () => {
    IceAgent.prototype.handlePacket = handlePacket
  }
}

/** Who is called too late connects all the same: only an early call shows that there was something to do. */
function plantLateness(): () => void {
  const { timeout } = IceAgent.prototype
  IceAgent.prototype.timeout = function () {
    return timeout.call(this) + 1_000
  }
  return () => {
    IceAgent.prototype.timeout = timeout
  }
}

function forbidRepetition({ network }: World) {
  const sent = new Map<Host, Set<string>>()
  network.rules.push(({ bytes }, sender) => {
    const message = isStun(bytes) ? decode(bytes) : undefined
    if (message?.class !== 'request') return undefined
    const known = sent.get(sender) ?? new Set()
    sent.set(sender, known)
    if (known.has(message.transactionId)) return 'planted'
    known.add(message.transactionId)
    return undefined
  })
}
