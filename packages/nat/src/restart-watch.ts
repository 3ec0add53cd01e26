import { ipToBytes, type Packet } from '@floe/stun'
import { RACE } from './defaults.ts'
import { urlHost } from './http.ts'
import type { MappingClientOptions } from './mapping.ts'
import { type DeviceNote, parseDeviceNote, SSDP_PORT } from './ssdp.ts'

/** A device of the router, as it has described itself. */
export interface KnownDevice {
  readonly boot: string | undefined
  readonly location: string | undefined
  /** It has said goodbye. */
  readonly isGone: boolean
}

type WatchOptions = Pick<MappingClientOptions, 'internal' | 'gateway'>

/**
 * Notices by what the router says over SSDP that its gateway device has started anew: another boot id, another place of
 * its description, or a goodbye and a return. Whoever is on the link can say that in the router's name: all that it is
 * good for is to ask the router itself, every ten seconds at most. A goodbye alone is no more than that either.
 */
export class RestartWatch {
  readonly #options: WatchOptions
  /** What this watch has heard; and what all watches of the gateway have, where the next one begins. */
  readonly #devices: Map<string, KnownDevice>
  readonly #shared: Map<string, KnownDevice>
  #askAt = Number.POSITIVE_INFINITY
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(options: WatchOptions, shared: Map<string, KnownDevice>) {
    this.#options = options
    this.#devices = new Map(shared)
    this.#shared = shared
  }

  /** Packets at the port of SSDP, which are NOTIFYs, and answers to our searches. */
  handlePacket(now: number, { local, remote, bytes }: Packet): void {
    const isNotify = local.port === SSDP_PORT
    if ((!isNotify && remote.port !== SSDP_PORT) || !isGateway(remote.ip, this.#options)) return
    const note = parseDeviceNote(bytes)
    if (note === undefined || isNotify === (note.kind === 'answer')) return
    if (note.target.includes(':InternetGatewayDevice:')) this.#hear(now, note)
  }

  /** Whether it is time to ask the router. */
  takeDue(now: number): boolean {
    if (now < this.#askAt) return false
    this.#askedAt = now
    this.#askAt = Number.POSITIVE_INFINITY
    return true
  }

  timeout(): number {
    return this.#askAt
  }

  #hear(now: number, { kind, boot, location, ...note }: DeviceNote): void {
    // One device may have a description for each version that it speaks.
    const device = `${note.device} ${note.target}`
    const known = this.#devices.get(device)
    if (kind === 'byebye') {
      if (known === undefined || known.isGone) return
      this.#remember(device, { ...known, isGone: true })
      return this.#askFrom(now + GOODBYE_PATIENCE)
    }
    const host = location === undefined ? undefined : urlHost(location)
    if (host === undefined || !isGateway(host, this.#options)) return
    this.#remember(device, { boot, location, isGone: false })
    if (kind !== 'alive') return
    if (known === undefined || known.isGone || known.boot !== boot || known.location !== location) this.#askFrom(now)
  }

  #remember(device: string, state: KnownDevice): void {
    for (const devices of [this.#devices, this.#shared]) {
      if (devices.has(device) || devices.size < MAX_DEVICES) devices.set(device, state)
    }
  }

  #askFrom(at: number): void {
    this.#askAt = Math.min(this.#askAt, Math.max(at, this.#askedAt + RACE.revival))
  }
}

/** Devices of one router that are told apart; it has one or two that are gateways, of two versions. */
const MAX_DEVICES = 8
/** So long a router that has said goodbye may take to start anew before it is asked all the same, milliseconds. */
const GOODBYE_PATIENCE = 30_000

/**
 * Whether an address is the router's. One whose link-local address we know speaks from its global one, too: believing the
 * whole /64 there costs a few requests to the router in vain, when some other host speaks, and nothing else.
 */
export function isGateway(ip: string, { gateway, internal }: WatchOptions): boolean {
  if (ip === gateway || ip === gateway.replace(/%.*/, '')) return true
  const [theirs, ours] = [ipToBytes(ip), ipToBytes(internal.ip)]
  if (theirs?.length !== 16 || ours?.length !== 16) return false
  return theirs.subarray(0, 8).every((byte, index) => byte === ours[index])
}
