import { type Address, bytesToIp, type Packet } from '@floe/stun'
import { ANNOUNCEMENT_PORT, MAPPING, SERVER_PORT } from './defaults.ts'
import { Epoch, natPmpEpoch } from './epoch.ts'
import type { MappingClient, MappingClientOptions, MappingClientOutput } from './mapping.ts'
import { isUsableExternal } from './scope.ts'
import { UdpMapping } from './udp-mapping.ts'

/**
 * One mapping by NAT-PMP (RFC 6886), IPv4 only. Give it every packet from the gateway's port 5351, announcements too.
 * The protocol authenticates nothing: answers count only while a request waits for one, and at the port that asked;
 * announcements only make it ask.
 */
export class NatPmpClient implements MappingClient {
  readonly #options: MappingClientOptions
  readonly #epoch = new Epoch(natPmpEpoch)
  readonly #mapping: UdpMapping
  /** The halves of the answer to the request under way: the router's external address, and the mapping. */
  #externalIp: string | undefined
  #grant: NatPmpMap | undefined
  #waiting = false

  /** Asks at once: `poll()` has the packets. */
  constructor(now: number, options: MappingClientOptions) {
    this.#options = options
    this.#mapping = new UdpMapping(now, options, (lifetime, suggested) => this.#requests(lifetime, suggested))
  }

  handlePacket(now: number, { local, remote, bytes }: Packet): boolean {
    if (this.#mapping.ended || remote.port !== SERVER_PORT || remote.ip !== this.#options.gateway) return false
    const response = decodeNatPmpResponse(bytes)
    if (response === undefined) return false
    const remembers = this.#epoch.check(now, response.epoch)
    const mine = response.map === undefined || response.map.internalPort === this.#options.internal.port
    const announced = local.port === ANNOUNCEMENT_PORT
    if (this.#waiting && mine && !announced) {
      this.#handleAnswer(now, response)
      // A no of one that has begun anew: there is no lease any more that could be kept.
      if (!remembers && response.result !== 0) this.remap(now)
      return response.map !== undefined
    }
    // An announcement with another address is news as well (RFC 6886 §3.2.1): ask, and believe the answer.
    const moved = response.externalIp !== undefined && response.externalIp !== this.#externalIp
    if (!remembers || moved) this.remap(now)
    return false
  }

  handleTimeout(now: number): void {
    this.#mapping.handleTimeout(now)
  }

  timeout(): number {
    return this.#mapping.timeout()
  }

  poll(): MappingClientOutput | undefined {
    return this.#mapping.poll()
  }

  remap(now: number): void {
    this.#mapping.doubt(now)
  }

  release(now: number): void {
    this.#mapping.release(now)
  }

  #requests(lifetime: number, suggested: Address | undefined): Uint8Array[] {
    this.#waiting = true
    const { internal } = this.#options
    // RFC 6886 §3.4: a deletion suggests no external port.
    if (lifetime === 0) return [encodeMapRequest(internal.port, 0, 0)]
    this.#externalIp = this.#grant = undefined
    return [EXTERNAL_ADDRESS.slice(), encodeMapRequest(internal.port, suggested?.port ?? 0, Math.ceil(lifetime / 1000))]
  }

  #handleAnswer(now: number, { result, map, externalIp }: NatPmpResponse): void {
    if (result !== 0) return this.#handleError(result)
    if (this.#mapping.releasing) {
      if (map?.lifetime === 0) this.#mapping.released()
      return
    }
    this.#grant = map ?? this.#grant
    this.#externalIp = externalIp ?? this.#externalIp
    if (this.#grant === undefined || this.#externalIp === undefined) return
    this.#waiting = false
    const external = { ip: this.#externalIp, port: this.#grant.externalPort }
    if (external.port === 0 || this.#grant.lifetime === 0 || !isUsableExternal(external.ip)) {
      const reason = `the router names an unusable address, ${external.ip}`
      return this.#mapping.refuse('refused', reason, MAPPING.minError)
    }
    this.#mapping.grant(now, external, this.#grant.lifetime * 1000)
  }

  #handleError(result: number): void {
    this.#waiting = false
    const unsupported = result === 1 || result === 5
    const retryAfter = unsupported || result === 2 ? MAPPING.refusal : MAPPING.minError
    const reason = NAT_PMP_RESULTS[result] ?? `the router answers with error ${result}`
    this.#mapping.refuse(unsupported ? 'unsupported' : 'refused', reason, retryAfter)
  }
}

/** RFC 6886 §3.5, in words. */
export const NAT_PMP_RESULTS: Readonly<Record<number, string>> = {
  0: 'success',
  1: 'the router speaks another version (unsupported version)',
  2: 'the router does not allow this host to make mappings (not authorized)',
  3: 'the router has no network itself at the moment (network failure)',
  4: 'the router has no room for another mapping (out of resources)',
  5: 'the router does not know this kind of request (unsupported opcode)',
}

export interface NatPmpMap {
  readonly internalPort: number
  readonly externalPort: number
  /** Seconds. */
  readonly lifetime: number
}

export interface NatPmpResponse {
  /** A key of `NAT_PMP_RESULTS`, 0 for success. */
  readonly result: number
  /** Seconds since the router lost its state (RFC 6886 §3.6). */
  readonly epoch: number
  /** Of an answer to the question for it, and of an announcement. */
  readonly externalIp?: string
  /** Of an answer to a UDP map request. */
  readonly map?: NatPmpMap
}

/** `undefined`: not a response of NAT-PMP that concerns us (RFC 6886 §3.2, §3.3). */
export function decodeNatPmpResponse(bytes: Uint8Array): NatPmpResponse | undefined {
  if (bytes.length < 8 || bytes[0] !== 0) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const response = { result: view.getUint16(2), epoch: view.getUint32(4) }
  if (bytes[1] === 0x80 + EXTERNAL_ADDRESS_OPCODE) {
    if (response.result !== 0) return response
    return bytes.length < 12 ? undefined : { ...response, externalIp: bytesToIp(bytes, 8, 4) }
  }
  if (bytes[1] !== 0x80 + MAP_UDP_OPCODE) return undefined
  if (bytes.length < 16) return response.result === 0 ? undefined : response
  const map = {
    internalPort: view.getUint16(8),
    externalPort: view.getUint16(10),
    lifetime: view.getUint32(12),
  }
  return { ...response, map }
}

const EXTERNAL_ADDRESS_OPCODE = 0
const MAP_UDP_OPCODE = 1
/** RFC 6886 §3.2: version 0, opcode 0. */
const EXTERNAL_ADDRESS = Uint8Array.of(0, EXTERNAL_ADDRESS_OPCODE)

/** RFC 6886 §3.3: 12 bytes. `lifetime` in seconds. */
function encodeMapRequest(internalPort: number, externalPort: number, lifetime: number): Uint8Array {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  bytes[1] = MAP_UDP_OPCODE
  view.setUint16(4, internalPort)
  view.setUint16(6, externalPort)
  view.setUint32(8, lifetime)
  return bytes
}
