import type { Address, Attributes, Method } from '@floe/stun'
import { addressFamily, canonicalIp } from '@floe/stun'
import type { AllocationTiming } from './defaults.ts'
import { LIMITS } from './defaults.ts'
import { TurnError } from './error.ts'
import { NO_ANSWER, type Outcome } from './exchanges.ts'
import type { AllocationOutput } from './outputs.ts'
import type { Peer, Permission } from './peers.ts'

/** What permissions and channels need of their allocation. */
export interface Context {
  readonly timing: AllocationTiming
  request(now: number, method: Method, attributes: Attributes, done: (now: number, outcome: Outcome) => void): void
  emit(output: AllocationOutput): void
}

/** Who may send to us, and whom we may send to: CreatePermission, RFC 8656 §9 and §10. */
export class Permissions {
  readonly #context: Context
  readonly #byIp = new Map<string, Permission>()
  #due = Number.POSITIVE_INFINITY

  constructor(context: Context) {
    this.#context = context
  }

  get(ip: string): Permission | undefined {
    return this.#byIp.get(ip)
  }

  /** Wants a permission; `flush` asks for it. Throws for what is no IP address. */
  want(ip: string): Permission {
    const canonical = canonicalIp(ip)
    const family = addressFamily(ip)
    if (canonical === undefined || family === undefined) {
      throw new TurnError('ERR_TURN_ARGUMENT', `'${ip}' is no IP address; resolve names first`)
    }
    const never = Number.POSITIVE_INFINITY
    const known = this.#byIp.get(canonical)
    if (known?.state === 'refused' && known.transient) {
      Object.assign(known, { state: 'pending', alone: false, refreshAt: -never, expiresAt: -never })
      this.#due = -never
    }
    if (known) return known
    const permission: Permission = {
      ip: canonical,
      family,
      state: 'pending',
      asking: false,
      alone: false,
      transient: false,
      refreshAt: -never,
      expiresAt: -never,
      peers: new Map(),
    }
    this.#due = -never
    const full = this.#byIp.size >= LIMITS.permissions
    // A refused one is remembered too, but not beyond the limit: it is there for the caller only.
    if (!full) this.#byIp.set(canonical, permission)
    if (full) this.#refuse(permission, 508, `no more than ${LIMITS.permissions} permissions per allocation`)
    else if (canonical.includes('%')) this.#refuse(permission, 403, 'a link-local address means nothing to a relay')
    return permission
  }

  remove(ip: string): Permission | undefined {
    const permission = this.#byIp.get(canonicalIp(ip) ?? ip)
    if (!permission) return undefined
    permission.state = 'removed'
    this.#byIp.delete(permission.ip)
    this.#schedule()
    return permission
  }

  /**
   * The peer at this address, when its IP has a permission. Remembered when the caller `named` it; whoever shares a
   * permitted IP can send from all its ports, so of peers that named themselves only so many are.
   */
  peer(address: Address, named: boolean): Peer | undefined {
    const permission = this.#byIp.get(address.ip)
    const known = permission?.peers.get(address.port)
    if (known || !permission) return known
    const peer: Peer = { address, permission, channel: undefined }
    if (named || permission.peers.size < LIMITS.peersPerPermission) permission.peers.set(address.port, peer)
    return peer
  }

  /** Refuses what the server will never permit: peers of a family that it does not relay (RFC 8656 §10.1). */
  restrict(families: readonly (4 | 6)[]): void {
    for (const permission of this.#byIp.values()) {
      if (permission.state !== 'refused' && !families.includes(permission.family)) {
        this.#refuse(permission, 443, `Peer Address Family Mismatch: the allocation relays no IPv${permission.family}`)
      }
    }
  }

  /** Asks for all that is wanted or about to end, several peers in one request. */
  flush(now: number): void {
    if (now < this.#due) return
    const { permissionWindow } = this.#context.timing
    for (const family of [4, 6] as const) {
      const due = [...this.#byIp.values()].filter(
        (it) => it.family === family && isWaiting(it) && it.refreshAt <= now + permissionWindow,
      )
      const together = due.filter(({ alone }) => !alone)
      for (let at = 0; at < together.length; at += LIMITS.peersPerRequest) {
        this.#ask(now, together.slice(at, at + LIMITS.peersPerRequest))
      }
      for (const permission of due.filter(({ alone }) => alone)) this.#ask(now, [permission])
    }
    this.#schedule()
  }

  timeout(): number {
    return this.#due
  }

  /** Requests were dropped on the way: what they asked for is wanted still. */
  reset(): void {
    for (const permission of this.#byIp.values()) permission.asking = false
    this.#schedule()
  }

  #ask(now: number, batch: readonly Permission[]): void {
    for (const permission of batch) permission.asking = true
    const xorPeerAddress = batch.map(({ ip }) => ({ ip, port: 0 }))
    this.#context.request(now, 'createPermission', { xorPeerAddress }, (then, outcome) =>
      this.#answered(then, batch, outcome),
    )
  }

  #answered(now: number, batch: readonly Permission[], outcome: Outcome): void {
    const wanted = batch.filter(({ state }) => state !== 'removed')
    for (const permission of wanted) {
      permission.asking = false
      if (outcome.type === 'success') this.#install(now, permission)
      else if (batch.length > 1 && outcome.code !== NO_ANSWER) permission.alone = true
      else if (isTransient(outcome.code) && now < permission.expiresAt) permission.refreshAt = this.#later(now, outcome)
      else this.#refuse(permission, outcome.code, outcome.reason)
    }
    this.#schedule()
  }

  #install(now: number, permission: Permission): void {
    const { permissionRefresh, permissionLifetime } = this.#context.timing
    permission.refreshAt = now + permissionRefresh
    permission.expiresAt = now + permissionLifetime
    if (permission.state === 'installed') return
    permission.state = 'installed'
    this.#context.emit({ type: 'permission', ip: permission.ip, state: 'installed' })
  }

  #refuse(permission: Permission, code: number, reason: string): void {
    permission.state = 'refused'
    permission.transient = isTransient(code)
    this.#context.emit({ type: 'permission', ip: permission.ip, state: 'refused', code, reason })
  }

  /** Silence has lasted long enough already; a server in trouble is given a rest. */
  #later(now: number, { code }: Outcome & { readonly type: 'error' }): number {
    return code === NO_ANSWER ? now : now + this.#context.timing.retry
  }

  #schedule(): void {
    this.#due = Number.POSITIVE_INFINITY
    for (const permission of this.#byIp.values()) {
      if (isWaiting(permission)) this.#due = Math.min(this.#due, permission.refreshAt)
    }
  }
}

/** Nobody's answer is being waited for. */
function isWaiting({ asking, state }: Permission): boolean {
  return !asking && state !== 'refused'
}

/** May go away by itself. */
export function isTransient(code: number): boolean {
  return code === NO_ANSWER || (code >= 500 && code < 600)
}
