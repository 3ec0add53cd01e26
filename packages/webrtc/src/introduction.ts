import { ConnectError } from './errors.ts'
import { formatHello, HELLO_VERSION, type Hello, parseHello } from './secure/hello.ts'
import { KeyAgreement, MIN_SECRET_LENGTH, type RelayKeys, type Role } from './secure/keys.ts'
import { fingerprints, type SignalingMessage } from './signaling.ts'

export interface IntroductionOptions {
  readonly role: Role
  /** WebCrypto; `undefined` on web pages that are no secure context. */
  readonly subtle: SubtleCrypto | undefined
  /** Shared with the peer, and with nobody else. */
  readonly secret: string | undefined
  /** Whether we take frames from a relay. */
  readonly relay: boolean
}

type HelloMessage = Extract<SignalingMessage, { hello: string }>

/**
 * Both ends say hello: each names the fingerprint of its DTLS certificate and a key for the relay. What comes later, on
 * either path, is held against it.
 */
export class Introduction {
  readonly #options: IntroductionOptions
  readonly #peerRole: Role
  readonly #agreement: KeyAgreement | undefined
  readonly #own: string
  #peer: Hello | undefined

  /** `sdp`: a description of ours. Rejects with ConnectError when a secret cannot be used. */
  static async create(options: IntroductionOptions, sdp: string): Promise<Introduction> {
    const { subtle, secret } = options
    return new Introduction(options, subtle && (await KeyAgreement.create(subtle, secret)), sdp)
  }

  private constructor(options: IntroductionOptions, agreement: KeyAgreement | undefined, sdp: string) {
    this.#options = options
    this.#peerRole = options.role === 'polite' ? 'impolite' : 'polite'
    this.#agreement = agreement
    this.#own = formatHello({
      version: HELLO_VERSION,
      ...(agreement && { key: agreement.publicKey }),
      fingerprints: fingerprints(sdp),
      relay: options.relay && agreement !== undefined,
      secret: options.secret !== undefined,
    })
  }

  async message(): Promise<HelloMessage> {
    const proof = await this.#agreement?.prove(this.#options.role, this.#own)
    return { hello: this.#own, ...(proof !== undefined && { proof }) }
  }

  /**
   * Takes the peer's hello. Resolves with the keys for the relay when both ends use one. Rejects with ConnectError when
   * it is none, or its author does not know our secret.
   */
  async receive({ hello: text, proof }: HelloMessage): Promise<RelayKeys | undefined> {
    const hello = parseHello(text)
    if (hello === undefined) {
      throw new ConnectError('ERR_CONNECT_SIGNALING', 'The peer speaks another version of connect()')
    }
    await this.#authenticate(hello, text, proof)
    this.#peer = hello
    const { role, relay } = this.#options
    if (!relay || !hello.relay || this.#agreement === undefined || hello.key === undefined) return undefined
    const hellos = role === 'polite' ? { polite: this.#own, impolite: text } : { polite: text, impolite: this.#own }
    try {
      return await this.#agreement.deriveKeys(role, hellos, hello.key)
    } catch (cause) {
      throw new ConnectError('ERR_CONNECT_SIGNALING', "The peer's key is none", { cause })
    }
  }

  /** Throws ConnectError when a description names another certificate than the hello did. */
  check(sdp: string): void {
    if (this.#peer === undefined) {
      throw new ConnectError('ERR_CONNECT_SIGNALING', 'The peer said no hello, or the signaling does not carry it')
    }
    if (fingerprints(sdp) === this.#peer.fingerprints) return
    const message = 'The peer’s description names another certificate than its hello'
    throw new ConnectError('ERR_CONNECT_UNAUTHENTICATED', message)
  }

  async #authenticate(hello: Hello, text: string, proof: string | undefined): Promise<void> {
    const { secret } = this.#options
    if (hello.secret && secret === undefined) {
      throw new ConnectError('ERR_CONNECT_UNAUTHENTICATED', 'The peer asks for a secret: give both ends the same one')
    }
    if (secret === undefined || (await this.#agreement!.verify(this.#peerRole, text, proof))) return
    throw new ConnectError('ERR_CONNECT_UNAUTHENTICATED', 'Whoever is at the other end does not know the secret')
  }
}

/** Throws ConnectError: that is the caller's mistake. */
export function checkSecret(secret: string | undefined, subtle: SubtleCrypto | undefined): void {
  if (secret === undefined) return
  if (subtle === undefined) {
    throw new ConnectError(
      'ERR_CONNECT_ARGUMENT',
      'A secret needs WebCrypto: serve the page over HTTPS or from localhost',
    )
  }
  if (secret.length >= MIN_SECRET_LENGTH) return
  const advice = 'createSecret() makes one that cannot be guessed'
  throw new ConnectError('ERR_CONNECT_ARGUMENT', `A secret has at least ${MIN_SECRET_LENGTH} characters: ${advice}`)
}
