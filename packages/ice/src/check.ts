import type { DecodedMessage, IntegrityKey, Message, Packet, PortReport, TransactionId } from '@floe/stun'
import { encode, newTransactionId, Transaction } from '@floe/stun'
import { peerReflexivePriority } from './candidate.ts'
import type { Pair } from './candidate-pair.ts'
import type { Timing } from './defaults.ts'
import { networkInfoOf } from './network-cost.ts'
import type { Context } from './outputs.ts'
import type { IceRole } from './parameters.ts'
import type { Role } from './role.ts'

/**
 * Why a Binding request is sent on a pair. RFC 8445 §7.2, §8.1.1; RFC 7675 §5.1; `probe`: is the path alive?
 * `opener`: see `Openers`.
 */
export type CheckPurpose = 'check' | 'nomination' | 'consent' | 'probe' | 'opener'

/** What every check of one generation has in common. */
export interface CheckCredentials {
  /** `remote ufrag:local ufrag`, RFC 8445 §7.1.1 with §7.2.2. */
  readonly username: string
  readonly key: IntegrityKey
}

export interface CheckRequest {
  readonly pair: Pair
  readonly purpose: CheckPurpose
  readonly role: IceRole
  readonly claim: Role['claim']
  readonly useCandidate: boolean
  /** NOMINATION (0xC001), sent beside USE-CANDIDATE; 0 for none. */
  readonly nomination: number
  readonly credentials: CheckCredentials
  /** Initial retransmission timeout, milliseconds. */
  readonly rto: number
  /** In hops, for an opener. */
  readonly ttl?: number | undefined
  readonly report?: PortReport | undefined
}

export type CheckOutcome =
  | {
      readonly request: CheckRequest
      readonly result: 'response'
      readonly message: DecodedMessage
      readonly roundTripTime: number | undefined
    }
  | { readonly request: CheckRequest; readonly result: 'timeout' }

interface Outstanding {
  readonly request: CheckRequest
  readonly transaction: Transaction
  /** Bytes that it was padded to; 0: it was not. */
  readonly padding: number
  readonly sentAt: number
  /** A later one has been answered: it counts as lost. */
  isOvertaken: boolean
  /** Cancelled, RFC 8445 §7.3.1.4: no more retransmissions, but an answer counts until then. */
  abandonAt: number
}

/**
 * RFC 8445 §14.3: twice the round trip where it is known; else the more checks share the pace, the later one is repeated.
 * Never above `maxRto`: a peer that has stood still for 5 s looks like a round trip of 5 s, and a check with twice that
 * would take a quarter of an hour to fail. An answer counts for 79 RTOs, which is longer than any path.
 */
export function initialRto({ roundTripTime }: Pair, timing: Timing, activePairs: number): number {
  if (roundTripTime !== undefined) return Math.min(timing.maxRto, Math.max(timing.minRto, 2 * roundTripTime))
  return Math.min(timing.maxRto, Math.max(timing.rto, timing.Ta * activePairs))
}

/** The Binding requests under way: sent, repeated, matched with their answers. */
export class Checks {
  readonly #context: Context
  readonly #outstanding = new Map<TransactionId, Outstanding>()

  constructor(context: Context) {
    this.#context = context
  }

  send(now: number, request: CheckRequest): void {
    const { pair, claim, useCandidate, nomination, credentials, purpose, report } = request
    const { timing, random } = this.#context
    const network = networkInfoOf(pair.local)
    const networkInfo = network && now < pair.courtedUntil ? { ...network, cost: 0 } : network
    const padding = (purpose === 'probe' && pair.carriage?.takePadding()) || 0
    const once = purpose === 'consent' || purpose === 'probe' || purpose === 'opener'
    const message: Message = {
      method: 'binding',
      class: 'request',
      transactionId: newTransactionId(random),
      attributes: {
        username: credentials.username,
        priority: pair.claimedPriority ?? peerReflexivePriority(pair.local),
        ...claim,
        ...(useCandidate && { useCandidate: true }),
        ...(useCandidate && nomination > 0 && { nomination }),
        ...(networkInfo && { networkInfo }),
        ...(report && { portReport: report }),
      },
    }
    const transaction = new Transaction(now, {
      message: padding > 0 ? padded(message, credentials.key, padding) : message,
      key: credentials.key,
      local: pair.base,
      remote: pair.destination,
      protocol: pair.local.protocol,
      fingerprint: true,
      // RFC 7675 §5.1: consent requests are not retransmitted, the next one is a new transaction. Each is kept until it or
      // a newer one is answered, and in any case until consent is lost.
      rto: once ? timing.consentTimeout : request.rto,
      // What has not been answered for long is asked once each time: who spoofs a source must not gain by it.
      rc: once || pair.forlorn ? 1 : timing.Rc,
      rm: once ? 1 : timing.Rm,
    })
    const entry = {
      request,
      transaction,
      padding,
      sentAt: now,
      isOvertaken: false,
      abandonAt: Number.POSITIVE_INFINITY,
    }
    this.#outstanding.set(transaction.id, entry)
    pair.stats.requestsSent++
    pair.askedAt ??= now
    if (purpose === 'consent') pair.stats.consentRequestsSent++
    pair.stats.retransmissionsSent--
    this.#drain(now, entry)
  }

  /** Stops repeating the pair's checks; their answers still count. RFC 8445 §7.3.1.4. */
  cancel(now: number, pair: Pair): void {
    for (const entry of this.#outstanding.values()) {
      if (entry.request.pair !== pair || entry.abandonAt !== Number.POSITIVE_INFINITY) continue
      entry.abandonAt = now + entry.request.rto * this.#context.timing.Rm
    }
  }

  /** Forgets the pair's checks altogether: the pair is gone. */
  forget(pair: Pair): void {
    for (const { request, transaction } of this.#outstanding.values())
      if (request.pair === pair) this.#outstanding.delete(transaction.id)
  }

  clear(): void {
    this.#outstanding.clear()
  }

  /** One is waited for. Whether one that is repeated no more gets its answer yet, nobody waits for. */
  isPending(pair: Pair, purpose: CheckPurpose): boolean {
    for (const { request, abandonAt } of this.#outstanding.values()) {
      const isRepeated = abandonAt === Number.POSITIVE_INFINITY
      if (isRepeated && request.pair === pair && request.purpose === purpose) return true
    }
    return false
  }

  /** The outcome when the message answers one of ours: right id, right addresses, right integrity. */
  handleResponse(now: number, message: DecodedMessage, packet: Packet): CheckOutcome | undefined {
    const entry = this.#outstanding.get(message.transactionId)
    if (!entry?.transaction.handleResponse(now, message, packet)) return undefined
    this.#estimateLoss(entry)
    if (entry.padding > 0) entry.request.pair.carriage?.passed(now, entry.padding)
    if (entry.request.purpose === 'consent') this.#forgetConsentBefore(entry)
    return this.#drain(now, entry)
  }

  handleTimeout(now: number): CheckOutcome[] {
    const outcomes: CheckOutcome[] = []
    for (const entry of this.#outstanding.values()) {
      if (now >= entry.abandonAt) this.#outstanding.delete(entry.transaction.id)
      else if (entry.abandonAt === Number.POSITIVE_INFINITY && now >= entry.transaction.timeout()) {
        entry.transaction.handleTimeout(now)
        const outcome = this.#drain(now, entry)
        if (outcome) outcomes.push(outcome)
      }
    }
    return outcomes
  }

  timeout(): number {
    let next = Number.POSITIVE_INFINITY
    for (const { transaction, abandonAt } of this.#outstanding.values()) {
      next = Math.min(next, abandonAt === Number.POSITIVE_INFINITY ? transaction.timeout() : abandonAt)
    }
    return next
  }

  /** What was sent before this one, and has not been answered yet, is lost; where it is late, that is made up for. */
  #estimateLoss(answered: Outstanding): void {
    const { pair } = answered.request
    for (const entry of this.#outstanding.values()) {
      if (entry.sentAt >= answered.sentAt) break
      if (entry.request.pair !== pair || entry.isOvertaken || entry.padding > 0) continue
      entry.isOvertaken = true
      if (!pair.dead) pair.concluded(true)
    }
    pair.concluded(false)
  }

  /** RFC 7675 §5.1: an answer stands for the requests that were sent before. */
  #forgetConsentBefore(answered: Outstanding): void {
    const { pair } = answered.request
    for (const entry of this.#outstanding.values()) {
      if (entry === answered) return
      const { request, transaction } = entry
      if (request.pair === pair && request.purpose === 'consent') this.#outstanding.delete(transaction.id)
    }
  }

  #drain(now: number, { request, transaction }: Outstanding): CheckOutcome | undefined {
    for (let output = transaction.poll(); output; output = transaction.poll()) {
      if (output.type === 'packet') {
        request.pair.stats.retransmissionsSent++
        request.pair.stats.lastPacketSent = now
        this.#context.emit(request.ttl === undefined ? output : { ...output, ttl: request.ttl })
        continue
      }
      this.#outstanding.delete(transaction.id)
      if (output.type === 'timeout') return { request, result: 'timeout' }
      return { request, result: 'response', message: output.message, roundTripTime: output.roundTripTime }
    }
    return undefined
  }
}

/** The same message, as large as a packet of so many bytes. */
function padded(message: Message, key: IntegrityKey, size: number): Message {
  const room = size - encode(message, { key, fingerprint: true }).length - ATTRIBUTE_HEADER_BYTES
  if (room <= 0) return message
  return { ...message, attributes: { ...message.attributes, filler: new Uint8Array(room & ~3) } }
}

/** RFC 8489 §14. */
const ATTRIBUTE_HEADER_BYTES = 4
