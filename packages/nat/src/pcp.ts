import { type Address, isIPv6, type Packet } from '@floe/stun'
import { MAPPING, SERVER_PORT } from './defaults.ts'
import { Epoch, pcpEpoch } from './epoch.ts'
import type { FailureCode, MappingClient, MappingClientOptions, MappingClientOutput } from './mapping.ts'
import {
  ANNOUNCE,
  decodePcpResponse,
  encodeMapRequest,
  MAP,
  NONCE_LENGTH,
  PCP_RESULTS,
  type PcpMap,
  type PcpResponse,
  refusedVersion,
  UDP,
} from './pcp-message.ts'
import { randomPort } from './random.ts'
import { isUsableExternal } from './scope.ts'
import { UdpMapping } from './udp-mapping.ts'

export interface PcpClientOptions extends MappingClientOptions {
  /** 12 bytes of an earlier client for the same internal port, whose mapping may still be there; random unless given. */
  readonly nonce?: Uint8Array | undefined
}

/**
 * One mapping by PCP (RFC 6887, MAP opcode, version 2), IPv4 or IPv6. For IPv6 it opens the router's firewall, and the
 * external address is the internal one unless the router translates prefixes.
 *
 * Give it every packet from the gateway's port 5351, those of other mappings and the announcements too: the epoch in
 * each of them may tell that the router has restarted. Nothing but an answer with our nonce changes the mapping.
 */
export class PcpClient implements MappingClient {
  readonly #options: PcpClientOptions
  readonly #nonce: Uint8Array
  readonly #epoch = new Epoch(pcpEpoch)
  readonly #mapping: UdpMapping
  #portsTried = 0
  /** It has answered in our version: from then on, refusals of the version are somebody else's. */
  #understood = false

  /** Asks at once: `poll()` has the packet. */
  constructor(now: number, options: PcpClientOptions) {
    this.#options = options
    this.#nonce = options.nonce ?? options.random(NONCE_LENGTH)
    this.#mapping = new UdpMapping(now, options, (lifetime, suggested) => [this.#request(lifetime, suggested)])
  }

  handlePacket(now: number, { remote, bytes }: Packet): boolean {
    if (this.#mapping.ended || remote.port !== SERVER_PORT || remote.ip !== this.#options.gateway) return false
    const response = decodePcpResponse(bytes)
    if (response === undefined) return this.#handleOldVersion(bytes)
    const valid = this.#epoch.check(now, response.epoch)
    if (response.opcode === MAP && this.#isOurs(response.map)) {
      this.#handleAnswer(now, response)
      // A no of one that has begun anew: there is no lease any more that could be kept.
      if (!valid && response.result !== 0) this.remap(now)
      return true
    }
    // An announcement tells a client that has nothing that there is a router to ask.
    const newcomer = response.opcode === ANNOUNCE && response.result === 0 && this.#mapping.external === undefined
    if (!valid || newcomer) this.remap(now)
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

  #request(lifetime: number, suggested: Address | undefined): Uint8Array {
    const { internal } = this.#options
    const wanted = lifetime === 0 ? undefined : suggested
    const map = {
      nonce: this.#nonce,
      protocol: UDP,
      internalPort: internal.port,
      externalPort: wanted?.port ?? 0,
      externalIp: wanted?.ip ?? unspecified(internal),
    }
    return encodeMapRequest({ clientIp: internal.ip, lifetime: Math.ceil(lifetime / 1000), map })
  }

  #isOurs(map: PcpMap | undefined): boolean {
    return (
      map !== undefined &&
      map.protocol === UDP &&
      map.internalPort === this.#options.internal.port &&
      map.nonce.every((byte, index) => byte === this.#nonce[index])
    )
  }

  #handleAnswer(now: number, { result, lifetime, map }: PcpResponse): void {
    this.#understood = true
    if (result !== 0) return this.#handleError(now, result, lifetime * 1000)
    if (lifetime === 0) return this.#mapping.released()
    const external = { ip: map!.externalIp, port: map!.externalPort }
    if (external.port === 0 || !isUsableExternal(external.ip)) {
      return this.#mapping.refuse('refused', `the router names an unusable address, ${external.ip}`, MAPPING.minError)
    }
    this.#mapping.grant(now, external, lifetime * 1000)
  }

  /** `patience` in milliseconds: how long the router expects the error to last. */
  #handleError(now: number, result: number, patience: number): void {
    const noSuchPort = result === NO_RESOURCES || result === CANNOT_PROVIDE_EXTERNAL
    const { external, releasing } = this.#mapping
    if (noSuchPort && external === undefined && !releasing && this.#portsTried++ < MAPPING.otherPorts) {
      const { internal, random } = this.#options
      return this.#mapping.ask(now, { ip: unspecified(internal), port: randomPort(random) })
    }
    const bounded = Math.min(Math.max(patience, MAPPING.minError), MAPPING.maxError)
    const retryAfter = FINAL.has(result) ? MAPPING.refusal : bounded
    const code: FailureCode = UNSUPPORTED.has(result) ? 'unsupported' : 'refused'
    this.#mapping.refuse(code, PCP_RESULTS[result] ?? `the router answers with error ${result}`, retryAfter)
  }

  /** RFC 6887 §9: a server that speaks no version 2 says so in its own. */
  #handleOldVersion(bytes: Uint8Array): boolean {
    const version = refusedVersion(bytes)
    if (version === undefined || this.#understood) return false
    const code = version === 0 ? 'nat-pmp-only' : 'unsupported'
    this.#mapping.refuse(code, `the router speaks version ${version} only`, MAPPING.refusal)
    return true
  }
}

const NO_RESOURCES = 8
const CANNOT_PROVIDE_EXTERNAL = 11
/** Not before somebody changes the router or the network: NOT_AUTHORIZED, ADDRESS_MISMATCH. */
const FINAL: ReadonlySet<number> = new Set([2, 12])
/** UNSUPP_VERSION, UNSUPP_OPCODE, UNSUPP_PROTOCOL. */
const UNSUPPORTED: ReadonlySet<number> = new Set([1, 4, 9])

/** RFC 6887 §5: the all-zeros address of the family, "any". */
function unspecified({ ip }: Address): string {
  return isIPv6(ip) ? '::' : '0.0.0.0'
}
