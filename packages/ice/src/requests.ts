import type { DecodedMessage, Packet, PortReport } from '@floe/stun'
import { verifyIntegrity } from '@floe/stun'
import type { Pair } from './candidate-pair.ts'
import { describePath } from './candidate-pair.ts'
import type { EarlyCheck, Generation } from './generation.ts'
import type { Context } from './outputs.ts'
import type { Pairing } from './pairing.ts'
import { Responder } from './responder.ts'
import type { Role } from './role.ts'

export interface RequestsOptions {
  readonly lite: boolean
  readonly role: Role
  readonly pairing: Pairing
  /** The one in use: an older one is answered on its own pairs, and nothing else. */
  readonly current: () => Generation
  /** A tie-break has changed our role. */
  readonly onrole: (now: number, reason: string) => void
  /** The peer has told of its NAT. */
  readonly onreport: (now: number, report: PortReport) => void
  /** The peer has checked the pair. `fresh`: just now, and not before its parameters were known. */
  readonly onchecked: (now: number, pair: Pair, check: EarlyCheck, fresh: boolean) => void
}

/** Binding requests from the peer: verified, answered, and passed on as what they teach. RFC 8445 §7.3. */
export class Requests {
  readonly #context: Context
  readonly #options: RequestsOptions
  readonly #responder: Responder

  constructor(context: Context, options: RequestsOptions) {
    this.#context = context
    this.#options = options
    this.#responder = new Responder(context)
  }

  /** `generation`: the one whose local ufrag the request names. */
  handle(now: number, message: DecodedMessage, packet: Packet, generation: Generation): void {
    if (!verifyIntegrity(message, generation.localKey)) {
      return this.#drop(now, packet, 'MESSAGE-INTEGRITY is missing or wrong')
    }
    if (message.unknownRequired.length > 0) {
      return this.#responder.error(message, packet, generation.localKey, 420, 'Unknown Attribute')
    }
    if (generation !== this.#options.current() && !generation.checklist.find(packet)) {
      // Chromium's new ports try the credentials of before the restart first. An answer would make it send data there.
      return this.#drop(now, packet, 'an old generation learns no new address')
    }
    const check = checkOf(message, packet)
    const isEarly = generation.remote?.usernameFragment !== check.remoteUsernameFragment
    const { portReport } = message.attributes
    if (portReport && !isEarly) this.#options.onreport(now, portReport)
    const pair = isEarly ? undefined : this.#pairOf(now, generation, check)
    if (!isEarly && (!pair || pair.revoked)) {
      // An answer would make the peer believe, or go on believing (RFC 7675), in a path that this side will never use.
      return this.#drop(now, packet, 'no pair for it, or none with consent')
    }
    // A refused check still shows where the peer is, and where a NAT gives our 487 another source port than the check
    // went to (RFC 8445 §7.2.5.2.1) only a check of ours can tell the peer about the roles.
    const agreed = this.#settleRole(now, message, packet, generation)
    if (agreed) this.#responder.success(message, packet, generation.localKey)
    else if (this.#options.lite) return
    if (!pair) generation.holdCheck(check)
    else this.#options.onchecked(now, pair, agreed ? check : { ...check, useCandidate: false }, true)
  }

  /** The peer's parameters have come: what it has sent before counts now. */
  replay(now: number, generation: Generation): void {
    for (const check of generation.takeEarlyChecks()) {
      if (check.remoteUsernameFragment !== generation.remote?.usernameFragment) continue
      const pair = this.#pairOf(now, generation, check)
      if (pair) this.#options.onchecked(now, pair, check, false)
    }
  }

  #pairOf(now: number, generation: Generation, check: EarlyCheck): Pair | undefined {
    const { pairing, role } = this.#options
    return pairing.pairOf(now, generation, check, role.current)
  }

  /** RFC 8445 §7.3.1.1. `false`: the request was answered with 487. A lite agent never switches. */
  #settleRole(now: number, message: DecodedMessage, packet: Packet, generation: Generation): boolean {
    const { lite, role, current, onrole } = this.#options
    if (generation !== current() || !generation.remote) return true
    const before = role.current
    const { attributes } = message
    const verdict = lite && attributes.iceControlled !== undefined ? 'reject' : role.receive(attributes)
    if (verdict === 'agree') return true
    if (verdict === 'reject') {
      this.#context.log(now, 'role-conflict', () => `stays ${before}`, `the peer claims to be ${before} too`)
      this.#responder.error(message, packet, generation.localKey, 487, 'Role Conflict')
      return false
    }
    onrole(now, 'the peer won the tie-break')
    return true
  }

  #drop(now: number, packet: Packet, reason: string): void {
    this.#context.log(now, 'request-dropped', () => describePath(packet), reason)
  }
}

function checkOf({ attributes }: DecodedMessage, { protocol, local, remote }: Packet): EarlyCheck {
  const { username = '', priority = 0, useCandidate = false, nomination, networkInfo } = attributes
  const remoteUsernameFragment = username.slice(username.indexOf(':') + 1)
  const source = protocol === 'udp' ? { ip: remote.ip, port: remote.port } : remote
  return { remoteUsernameFragment, protocol, local, remote: source, priority, networkInfo, useCandidate, nomination }
}
