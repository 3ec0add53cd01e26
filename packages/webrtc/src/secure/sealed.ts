/** Number of the frame, 48 bits: it is the nonce, too. */
const NUMBER_SIZE = 6
/** AES-GCM's, 96 bits (NIST SP 800-38D §8.2.1). */
const NONCE_SIZE = 12
const TAG_SIZE = 16
/** What sealing adds to a frame, in bytes. */
export const SEALED_OVERHEAD: number = NUMBER_SIZE + TAG_SIZE

/** Frames under one key: 2^32, far beyond what a relay carries in the life of a connection (SP 800-38D §8.3). */
const MAX_FRAMES = 2 ** 32

/** Encrypts frames for the relay. */
export class Sealer {
  readonly #subtle: SubtleCrypto
  readonly #key: CryptoKey
  #number = 0

  constructor(subtle: SubtleCrypto, key: CryptoKey) {
    this.#subtle = subtle
    this.#key = key
  }

  /** `undefined`: the key has been used as often as it may be. */
  async seal(frame: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#number >= MAX_FRAMES) return undefined
    const iv = nonce(this.#number++)
    const sealed = new Uint8Array(await this.#subtle.encrypt({ name: 'AES-GCM', iv }, this.#key, frame))
    const bytes = new Uint8Array(NUMBER_SIZE + sealed.length)
    bytes.set(iv.subarray(NONCE_SIZE - NUMBER_SIZE))
    bytes.set(sealed, NUMBER_SIZE)
    return bytes
  }
}

/** What the relay has done to frames on their way to us. A relay at its limits or after an interruption loses some, too. */
export interface RelayFaults {
  /** Frames that have not come, or not in their turn. */
  readonly missing: number
  /** Frames that came again, or too late: not heard. */
  readonly repeated: number
  /** Frames that are not what the peer sent: not heard. */
  readonly altered: number
}

/** Decrypts what the relay brings, and notices what it does. */
export class Opener {
  readonly #subtle: SubtleCrypto
  readonly #key: CryptoKey
  readonly #faults = { missing: 0, repeated: 0, altered: 0 }
  #next = 0

  constructor(subtle: SubtleCrypto, key: CryptoKey) {
    this.#subtle = subtle
    this.#key = key
  }

  get faults(): RelayFaults {
    return { ...this.#faults }
  }

  /** One after the other: wait for one before the next. `undefined`: not to be heard, see `faults`. Never rejects. */
  async open(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (bytes.length < SEALED_OVERHEAD) return this.#fault('altered')
    const iv = new Uint8Array(NONCE_SIZE)
    iv.set(bytes.subarray(0, NUMBER_SIZE), NONCE_SIZE - NUMBER_SIZE)
    const number = numberOf(iv)
    if (number < this.#next) return this.#fault('repeated')
    let frame: ArrayBuffer
    try {
      frame = await this.#subtle.decrypt({ name: 'AES-GCM', iv }, this.#key, bytes.subarray(NUMBER_SIZE))
    } catch {
      return this.#fault('altered')
    }
    this.#faults.missing += number - this.#next
    this.#next = number + 1
    return new Uint8Array(frame)
  }

  #fault(kind: 'repeated' | 'altered'): undefined {
    this.#faults[kind]++
  }
}

function nonce(number: number): Uint8Array<ArrayBuffer> {
  const iv = new Uint8Array(NONCE_SIZE)
  const view = new DataView(iv.buffer)
  view.setUint16(NONCE_SIZE - NUMBER_SIZE, Math.floor(number / 2 ** 32))
  view.setUint32(NONCE_SIZE - 4, number % 2 ** 32)
  return iv
}

function numberOf(iv: Uint8Array<ArrayBuffer>): number {
  const view = new DataView(iv.buffer)
  return view.getUint16(NONCE_SIZE - NUMBER_SIZE) * 2 ** 32 + view.getUint32(NONCE_SIZE - 4)
}
