import type { Pair } from './candidate-pair.ts'
import type { Generation } from './generation.ts'
import type { IceTransportState } from './outputs.ts'
import type { Path } from './path.ts'

/** What the state of an agent is derived from. */
interface StateFacts {
  readonly current: IceTransportState
  readonly generation: Generation
  readonly path: Path
  readonly gatheringComplete: boolean
  /** RFC 8863's patience is at its end. */
  readonly pacExpired: boolean
}

/** The states of an agent as W3C names them, and the PAC timer that keeps it from giving up too early (RFC 8863). */
export class AgentState {
  current: IceTransportState = 'new'
  gathering: 'new' | 'gathering' | 'complete' = 'new'
  readonly #pac: number
  #pacDeadline = Number.POSITIVE_INFINITY
  #pacExpired = false

  /** `pac` in milliseconds. */
  constructor(pac: number) {
    this.#pac = pac
  }

  /** Checks begin: from here on the peer has until the PAC timer to be heard of. */
  start(now: number): void {
    this.#pacDeadline = now + this.#pac
  }

  /** `false`: it is there already. */
  enterGathering(gathering: AgentState['gathering']): boolean {
    const isNews = this.gathering !== gathering
    this.gathering = gathering
    return isNews
  }

  /** The network has changed on one side: what is to replace the lost paths has as much time as the first ones had. */
  extend(now: number): void {
    this.#pacExpired = false
    this.#pacDeadline = now + this.#pac
  }

  restart(): void {
    this.#pacDeadline = Number.POSITIVE_INFINITY
    this.#pacExpired = false
  }

  /** Derives the state anew; `true` when it is another one. */
  update(now: number, generation: Generation, path: Path): boolean {
    const { current, gathering } = this
    const facts = {
      current,
      generation,
      path,
      gatheringComplete: gathering === 'complete',
      pacExpired: this.#pacExpired,
    }
    this.current = nextState(now, facts)
    return this.current !== current
  }

  handleTimeout(now: number): void {
    if (now < this.#pacDeadline) return
    this.#pacExpired = true
    this.#pacDeadline = Number.POSITIVE_INFINITY
  }

  timeout(): number {
    return this.#pacDeadline
  }
}

/** W3C RTCIceTransportState of an open agent: derived anew after every change, so that it cannot drift. */
function nextState(now: number, facts: StateFacts): IceTransportState {
  const { current, generation, path } = facts
  if (path.selected) return connectedState(now, facts, path.selected)
  if (!generation.remote) return current === 'new' || current === 'failed' ? current : 'disconnected'
  if (isHopeless(facts)) return 'failed'
  const lostItsPath = current === 'connected' || current === 'completed' || current === 'disconnected'
  return lostItsPath && generation.checklist.finished ? 'disconnected' : 'checking'
}

function connectedState(
  now: number,
  { generation, path, gatheringComplete }: StateFacts,
  selected: Pair,
): IceTransportState {
  if (path.isSilent(selected, now)) return 'disconnected'
  const settled = generation.remoteEnded && gatheringComplete && generation.checklist.finished
  return settled && !path.outlived ? 'completed' : 'connected'
}

/**
 * RFC 8863 §4: not before the PAC timer, unless the peer has ended its candidates, every pair has failed, and nothing of
 * the peer's has come: one whose checks arrive may yet get our answers.
 */
function isHopeless({ generation, gatheringComplete, pacExpired }: StateFacts): boolean {
  const { checklist, remoteEnded } = generation
  if (!checklist.finished) return false
  if (pacExpired) return true
  const isHeard = checklist.pairs.some(({ authenticated, revoked }) => authenticated && !revoked)
  return remoteEnded && gatheringComplete && checklist.pairs.length > 0 && !isHeard
}
