import type { Address, Attributes } from '@floe/stun'
import { addressFamily } from '@floe/stun'
import { TIMING } from './defaults.ts'
import type { AllocationOptions, RefusedFamily } from './outputs.ts'

/** What an Allocate brought. */
export interface Granted {
  /** One per family. */
  readonly relayed: readonly Address[]
  readonly mapped: Address
  /** In ms. */
  readonly lifetime: number
  readonly refusedFamilies: readonly RefusedFamily[]
}

/** What to ask for in an Allocate (RFC 8656 §7.1), with less and less of it as the server refuses, and what came of it. */
export class AllocateRequest {
  /** In seconds, for LIFETIME. */
  readonly lifetime: number
  readonly #families: readonly (4 | 6)[]
  readonly #longestLifetime: number
  #dontFragment: boolean
  #mobility: boolean
  #additional: boolean
  #additionalRefusal: RefusedFamily | undefined

  constructor({ families = [4], lifetime, dontFragment = false, mobility = false, timing }: AllocationOptions) {
    this.#families = families
    this.lifetime = Math.ceil((lifetime ?? timing?.lifetime ?? TIMING.lifetime) / 1_000)
    this.#longestLifetime = timing?.longestLifetime ?? TIMING.longestLifetime
    this.#dontFragment = dontFragment
    this.#mobility = mobility
    this.#additional = families.includes(4) && families.includes(6)
  }

  get dontFragment(): boolean {
    return this.#dontFragment
  }

  get attributes(): Attributes {
    return {
      requestedTransport: UDP,
      lifetime: this.lifetime,
      // The same question in the numbers of RFC 8656 and of coturn. RFC 8656 §7.1: with ADDITIONAL-ADDRESS-FAMILY the first family is IPv4, unsaid. Unsaid otherwise too, because a
      // server older than RFC 6156 refuses REQUESTED-ADDRESS-FAMILY.
      ...(this.#additional && { additionalAddressFamily: 6, ssodaAddressFamily: 6 }),
      ...(!this.#families.includes(4) && { requestedAddressFamily: 6 }),
      ...(this.#dontFragment && { dontFragment: true }),
      ...(this.#mobility && { mobilityTicket: EMPTY }),
    }
  }

  /** Whether it makes sense to ask again, without an extra that this error is about. */
  relax(code: number, { unknownAttributes = [] }: Attributes): boolean {
    const unknown = (type: number) => code === 420 && unknownAttributes.includes(type)
    if (this.#dontFragment && unknown(0x001a)) {
      this.#dontFragment = false
      return true
    }
    // RFC 8016 §3.1: 405 is Mobility Forbidden.
    if (this.#mobility && (code === 405 || unknown(0x8030))) {
      this.#mobility = false
      return true
    }
    // RFC 8656 has a server give the one family and ADDRESS-ERROR-CODE; some give nothing.
    if (this.#additional && (code === 440 || unknown(0x8000) || unknown(0x8032))) {
      this.#additional = false
      if (code === 440) this.#additionalRefusal = { family: 6, code, reason: 'Address Family not Supported' }
      return true
    }
    return false
  }

  /** Reads a success response; a string says what is wrong with it. */
  granted(attributes: Attributes): Granted | string {
    const { xorRelayedAddress = [], xorMappedAddress, mappedAddress } = attributes
    const relayed: Address[] = []
    for (const family of [...new Set(this.#families)].sort()) {
      const address = xorRelayedAddress.find(({ ip, port }) => addressFamily(ip) === family && port !== 0)
      if (address) relayed.push(address)
    }
    const mapped = xorMappedAddress ?? mappedAddress
    if (relayed.length === 0 || !mapped) return 'success without a relayed address that was asked for'
    const lifetime = this.lifetimeOf(attributes)
    if (lifetime === 0) return 'success without a lifetime'
    return { relayed, mapped, lifetime, refusedFamilies: this.#refusals(relayed, attributes) }
  }

  /** LIFETIME in ms, within our own bounds. RFC 8656 §7.3 makes it mandatory; without it we got what we asked for. */
  lifetimeOf({ lifetime = this.lifetime }: Attributes): number {
    return Math.min(lifetime * 1_000, this.#longestLifetime)
  }

  #refusals(
    relayed: readonly Address[],
    { ssodaErrorCode, addressErrorCode = ssodaErrorCode }: Attributes,
  ): readonly RefusedFamily[] {
    const missing = this.#families.filter((family) => !relayed.some(({ ip }) => addressFamily(ip) === family))
    return missing.map((family) => {
      if (addressErrorCode?.family === family) return addressErrorCode
      if (this.#additionalRefusal?.family === family) return this.#additionalRefusal
      return { family, code: undefined, reason: 'the server does not know ADDITIONAL-ADDRESS-FAMILY' }
    })
  }
}

/** IP protocol number, for REQUESTED-TRANSPORT. */
const UDP = 17
const EMPTY = new Uint8Array(0)
