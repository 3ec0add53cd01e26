import type { Pair } from './candidate-pair.ts'
import type { Generation } from './generation.ts'
import type { IceTransportState } from './outputs.ts'
import type { Path } from './path.ts'

/** What the state of an agent is derived from. */
export interface StateFacts {
  readonly current: IceTransportState
  readonly generation: Generation
  readonly path: Path
  readonly gatheringComplete: boolean
  /** RFC 8863's patience is at its end. */
  readonly pacExpired: boolean
}

/** W3C RTCIceTransportState of an open agent: derived anew after every change, so that it cannot drift. */
export function nextState(now: number, facts: StateFacts): IceTransportState {
  const { current, generation, path } = facts
  if (path.selected) return connectedState(now, facts, path.selected)
  if (!generation.remote) return current === 'new' || current === 'failed' ? current : 'disconnected'
  if (isHopeless(facts)) return 'failed'
  const { checklist } = generation
  const lostItsPath = current === 'connected' || current === 'completed' || current === 'disconnected'
  return lostItsPath && checklist.pairs.length > 0 && checklist.finished ? 'disconnected' : 'checking'
}

function connectedState(
  now: number,
  { generation, path, gatheringComplete }: StateFacts,
  selected: Pair,
): IceTransportState {
  if (!path.isAlive(selected, now)) return 'disconnected'
  const settled = generation.remoteEnded && gatheringComplete && generation.checklist.finished
  return settled && !path.outlived ? 'completed' : 'connected'
}

/** RFC 8863 §4: not before the PAC timer, unless the peer has ended its candidates and every pair has failed. */
function isHopeless({ generation, gatheringComplete, pacExpired }: StateFacts): boolean {
  const { checklist, remoteEnded } = generation
  if (!checklist.finished) return false
  return pacExpired || (remoteEnded && gatheringComplete && checklist.pairs.length > 0)
}
