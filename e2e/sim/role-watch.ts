import { decode, sameAddress, transactionIdAt } from '@floe/stun'
import { Violation } from './invariants.ts'
import type { Peer } from './peer.ts'
import type { Datagram } from './trace.ts'

/** First two bytes of a Binding request and of a Binding error response, RFC 8489 §5. */
const REQUEST = 0x0001
const ERROR = 0x0111

/** Milliseconds after which an agent may have forgotten a check of its own: what comes then is no answer any more. */
const ANSWER_IN_TIME = 3_000

interface SentCheck {
  readonly time: number
  readonly generation: number
  readonly datagram: Datagram
}

/**
 * RFC 8445 §7.2.5.1: who is told 487 in answer to a check gives up the role that the check claimed. Watched on the wire,
 * since two agents that ignore 487 agree about roles in most networks all the same, by the checks of the other one.
 */
export function watchRoles(peer: Peer) {
  const { observers } = peer.host.network
  const checks = new Map<string, SentCheck>()
  /** Roles that the peer may not claim any more, each with its tie-breaker; a restart gives out the roles anew. */
  const refused = new Set<string>()
  const claim = (datagram: Datagram) => `${claimOf(datagram)} in generation ${peer.agent.generation}`
  observers.push({
    sent(datagram, host) {
      if (host !== peer.host || messageType(datagram) !== REQUEST) return
      const id = transactionOf(datagram)
      if (checks.has(id)) return
      checks.set(id, { time: peer.now, generation: peer.agent.generation, datagram })
      if (refused.size === 0 || !refused.has(claim(datagram))) return
      throw new Violation('roles', `${peer.name} was told 487 and still claims to be ${claim(datagram)}`)
    },
    delivered(datagram, host) {
      if (host !== peer.host || messageType(datagram) !== ERROR) return
      const check = checks.get(transactionOf(datagram))
      if (check && decode(datagram.bytes)?.attributes.errorCode?.code === 487 && answers(datagram, check, peer)) {
        refused.add(claim(check.datagram))
      }
    },
  })
}

/** The answer came back the way the check went, and its check is not forgotten. */
function answers({ source, destination }: Datagram, check: SentCheck, peer: Peer): boolean {
  const { datagram, time, generation } = check
  const sameWay = sameAddress(source, datagram.destination) && sameAddress(destination, datagram.source)
  return sameWay && generation === peer.agent.generation && peer.now - time < ANSWER_IN_TIME
}

function claimOf({ bytes }: Datagram): string {
  const { iceControlling, iceControlled } = decode(bytes)!.attributes
  return iceControlling === undefined ? `controlled ${iceControlled}` : `controlling ${iceControlling}`
}

function messageType({ bytes }: Datagram): number {
  return bytes.length < 20 ? -1 : (bytes[0]! << 8) | bytes[1]!
}

function transactionOf({ bytes }: Datagram): string {
  return transactionIdAt(bytes, 8)
}
