import { type Address, type NetworkInfo, withoutScope } from '@floe/stun'
import type { Candidate } from './candidate.ts'
import { addressScope } from './candidate.ts'
import type { Carriage } from './carriage.ts'
import type { Timing } from './defaults.ts'
import type { IceRole } from './parameters.ts'

/** RFC 8445 §6.1.2.6. */
export type CandidatePairState = 'frozen' | 'waiting' | 'in-progress' | 'succeeded' | 'failed'

/** Counters since the pair was formed; times in milliseconds on the agent's clock. W3C RTCIceCandidatePairStats. */
export interface CandidatePairStats {
  requestsSent: number
  requestsReceived: number
  responsesSent: number
  responsesReceived: number
  consentRequestsSent: number
  retransmissionsSent: number
  packetsSent: number
  bytesSent: number
  packetsReceived: number
  bytesReceived: number
  totalRoundTripTime: number
  lastPacketReceived: number
  lastPacketSent: number
}

/** What the outside sees of a pair. */
export interface CandidatePair {
  readonly id: string
  /** Once the pair is valid: the candidate that the peer sees us at (RFC 8445 §7.2.5.3.2), whose base we send from. */
  readonly local: Candidate
  readonly remote: Candidate
  readonly priority: bigint
  readonly state: CandidatePairState
  readonly nominated: boolean
  readonly selected: boolean
  /** Latest measured round trip, milliseconds. */
  readonly roundTripTime?: number
  /** Average of all, 1/8 of each new one; milliseconds. */
  readonly smoothedRoundTripTime?: number
  /** When the peer last agreed to be sent to (RFC 7675), on the agent's clock; -Infinity: it never has. */
  readonly consentAt: number
  /** How often it was found dead. */
  readonly deaths: number
  readonly stats: Readonly<CandidatePairStats>
}

/** RFC 8445 §6.1.2.3, exact for all 32-bit inputs: in JavaScript 2·MAX alone can leave the safe integers. */
export function pairPriority(controlling: number, controlled: number): bigint {
  const [min, max] = controlling < controlled ? [controlling, controlled] : [controlled, controlling]
  return (BigInt(min) << 32n) + 2n * BigInt(max) + (controlling > controlled ? 1n : 0n)
}

/**
 * One path: a local base and a remote address. Valid pairs of RFC 8445 §7.2.5.3.2 are not second objects here: a path has
 * one base and one remote address, so the pair takes on the local candidate that the check's answer revealed.
 */
export class Pair implements CandidatePair {
  readonly id: string
  readonly base: Address
  /** Where packets go: the remote address, with the base's scope id when it is link-local. */
  readonly destination: Address
  local: Candidate
  remote: Candidate
  priority = 0n
  state: CandidatePairState = 'frozen'
  nominated = false
  selected = false
  roundTripTime?: number
  /** Of all samples, as RFC 6298 averages: 1/8 of the newest. */
  smoothedRoundTripTime?: number
  /** How many samples that is made of. */
  roundTrips = 0
  /** Part of its checks that gets lost, there or back: 1/16 of the newest outcome. An outage is no loss. */
  loss = 0
  /** The peer seems not to hear us here: only an answer helps. */
  doubtedAt: number | undefined
  /** When the first check was sent that nothing has been heard since of; undefined when there is none. */
  askedAt: number | undefined
  /** Usual time between two packets of the peer, milliseconds. */
  meanGap = 0
  /** How long it may be silent before it is asked, milliseconds. */
  patience = Number.POSITIVE_INFINITY
  /** Packets of the layer above, in either direction: the first after a pause, and the last. */
  activeSince = Number.NEGATIVE_INFINITY
  lastDataAt = Number.NEGATIVE_INFINITY
  /** Asked several times, and did not answer. Any packet of the peer's brings it back to life. */
  dead = false
  /** How it fares with data, once there has been reason to ask. */
  carriage: Carriage | undefined
  /** How often it died, and until when nothing is moved back to it. */
  deaths = 0
  probationUntil = Number.NEGATIVE_INFINITY
  /** When its first check succeeded. */
  validAt = Number.POSITIVE_INFINITY
  /** When what it leads through was last made anew: the pair was, or a NAT gave it another mapping. */
  bornAt = Number.POSITIVE_INFINITY
  /** Controlled: USE-CANDIDATE came before our own check had succeeded (RFC 8445 §7.3.1.5). */
  nominateWhenValid = false
  /** Triggered checks since the pair was last valid: the first leaves at once, later ones are paced, and they are few. */
  triggers = 0
  /** They have been in vain for so long that nobody waits for the next one. */
  forlorn = false
  /** When the latest one was caused. */
  triggeredAt = Number.NEGATIVE_INFINITY
  /** A connection of it that breaks is opened again, so often. RFC 6544 §7.2. */
  reconnects = 0
  /** Highest NOMINATION value seen or sent on it (draft-thatcher-ice-renomination). */
  nomination = 0
  /** The peer is to move here: until then our checks say that our network costs nothing. */
  courtedUntil = Number.NEGATIVE_INFINITY
  /** PRIORITY of our checks, when it is not the usual one. */
  claimedPriority: number | undefined
  /** What the peer's checks have last said of its network (GOOG-NETWORK-INFO). */
  peersNetwork: NetworkInfo | undefined
  /** The peer has proved on this path that it knows our password, or answered us: its data is let through. */
  authenticated = false
  /** The last authenticated answer: RFC 7675 consent lasts from here. */
  consentAt = Number.NEGATIVE_INFINITY
  /** Consent expired or was revoked: RFC 7675 §5.1 wants an ICE restart before this path is used again. */
  revoked = false
  /** Role conflicts that its checks ended in; a peer that never settles must not keep us sending. */
  conflicts = 0
  /** The peer checked it without USE-CANDIDATE after it was valid, so a later nomination is a deliberate choice. */
  checkedPlain = false
  readonly stats: CandidatePairStats = {
    requestsSent: 0,
    requestsReceived: 0,
    responsesSent: 0,
    responsesReceived: 0,
    consentRequestsSent: 0,
    retransmissionsSent: 0,
    packetsSent: 0,
    bytesSent: 0,
    packetsReceived: 0,
    bytesReceived: 0,
    totalRoundTripTime: 0,
    lastPacketReceived: Number.NEGATIVE_INFINITY,
    lastPacketSent: Number.NEGATIVE_INFINITY,
  }

  /** `base`: the connection that it is, for a pair over TCP that the peer has opened. */
  constructor(id: string, local: Candidate, remote: Candidate, role: IceRole, base?: Address) {
    this.id = id
    this.local = local
    this.remote = remote
    // A TCP pair is a connection of its own, named by its own object.
    this.base = base ?? (local.protocol === 'tcp' ? { ...local.address } : (local.base ?? local.address))
    this.destination = withScope(remote.address, this.base)
    this.updatePriority(role)
  }

  /** An authenticated packet has come over it. `answered`: it shows that ours arrive too. */
  heard(now: number, answered = false): void {
    const gap = now - this.stats.lastPacketReceived
    if (gap < LONGEST_GAP) this.meanGap += (gap - this.meanGap) / 8
    this.stats.lastPacketReceived = now
    if (answered) this.doubtedAt = undefined
    else if (this.doubtedAt !== undefined) return
    this.askedAt = undefined
    if (this.dead) this.bornAt = now
    this.dead = false
  }

  /** It died not long ago: a path that comes and goes must not take the data with it. */
  isOnProbation(now: number): boolean {
    return now < this.probationUntil
  }

  /** It answers, and lets data through as far as anybody knows. */
  isFit(now: number): boolean {
    return !this.dead && !this.carriage?.isBarred(now)
  }

  /** Backups are asked less often than the pair in use: what owes no answer, or but for a moment, is as good as heard. */
  speaks(now: number, { disconnectedTimeout, owedFor }: Timing): boolean {
    const owesNone = now < (this.askedAt ?? now) + owedFor
    return now < this.stats.lastPacketReceived + (owesNone ? 2 : 1) * disconnectedTimeout
  }

  /** 2: alive; 1: it answers, and lets no data through as far as anybody knows; 0: it says nothing. */
  worth(now: number, timing: Timing): number {
    return this.dead || !this.speaks(now, timing) ? 0 : 1 + Number(this.isFit(now))
  }

  /** Several questions have gone unanswered. `false`: nothing has been heard since the last time, it is the same death. */
  die(now: number, { probation, maxProbation }: Timing): boolean {
    const isNew = !this.dead
    if (isNew) this.deaths++
    this.dead = true
    this.probationUntil = now + Math.min(maxProbation, probation * 2 ** (this.deaths - 1))
    return isNew
  }

  /**
   * The peer does not follow our data by itself. Libwebrtc that controls compares what networks cost at both ends before all
   * else. It is asked at once, so that it hears of it.
   */
  court(now: number, { courtFor }: Timing): void {
    this.courtedUntil = now + courtFor
    this.doubtedAt ??= now
  }

  /** Of a check of ours that has not been waited for in vain because of an outage. */
  concluded(isLost: boolean): void {
    this.loss += (Number(isLost) - this.loss) / 16
  }

  measured(roundTripTime: number): void {
    const { smoothedRoundTripTime = roundTripTime } = this
    this.roundTripTime = roundTripTime
    this.smoothedRoundTripTime = smoothedRoundTripTime + (roundTripTime - smoothedRoundTripTime) / 8
    this.roundTrips++
    this.stats.totalRoundTripTime += roundTripTime
  }

  /** RFC 7675: the peer has agreed to be sent to; after that long, if no check was sent twice. */
  agreed(now: number, roundTripTime: number | undefined): void {
    if (roundTripTime !== undefined) this.measured(roundTripTime)
    this.consentAt = now
  }

  /** A check of ours has been answered. */
  succeed(now: number): void {
    this.state = 'succeeded'
    this.validAt = now
    this.bornAt = now
    this.triggers = 0
    this.forlorn = false
  }

  /** Two NATs that give each check a new port can make two agents chase each other: this slows them down, and ends it. */
  mayBeTriggered(now: number, { Rc, triggerInterval, maxTriggers }: Timing): boolean {
    this.forlorn ||= this.triggers >= Rc
    return !this.forlorn || (this.triggers < maxTriggers && now >= this.triggeredAt + triggerInterval)
  }

  /** Its TCP connection has ended: whether it is opened again (RFC 6544 §7.2). Only the active end can. */
  reconnectsAfter(wasValid: boolean, { tcpReconnects }: Timing): boolean {
    if (wasValid) this.reconnects = tcpReconnects
    else if (this.reconnects > 0) this.reconnects--
    return this.reconnects > 0 && this.local.tcpType === 'active'
  }

  /** RFC 8445 §6.1.2.6: what one of the two shows about the network holds for the other. */
  sharesFoundation({ local, remote }: Pair): boolean {
    return this.local.foundation === local.foundation && this.remote.foundation === remote.foundation
  }

  updatePriority(role: IceRole): void {
    const { local, remote } = this
    this.priority =
      role === 'controlling'
        ? pairPriority(local.priority, remote.priority)
        : pairPriority(remote.priority, local.priority)
  }
}

/** Longer pauses are the end of some traffic, and say nothing about its pace. Milliseconds. */
const LONGEST_GAP = 3_000

/** For logs. */
export function describePair({ local, remote, base, destination }: Pair): string {
  return `${local.type} ${base.ip}:${base.port} → ${remote.type} ${destination.ip}:${destination.port}`
}

/** For logs: where a packet came from, and to. */
export function describePath({ local, remote }: { local: Address; remote: Address }): string {
  return `${remote.ip}:${remote.port} at ${local.ip}:${local.port}`
}

/** A peer cannot know our interface's name: link-local addresses are reached through the base's own zone, RFC 4007 §6. */
function withScope(address: Address, base: Address): Address {
  if (address.ip.includes('.') || addressScope(address.ip) !== 'link-local') return address
  const zone = base.ip.indexOf('%')
  return zone < 0 ? address : { ip: withoutScope(address.ip) + base.ip.slice(zone), port: address.port }
}
