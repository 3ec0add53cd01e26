import { IceError } from './error.ts'

export type IceRole = 'controlling' | 'controlled'

/** W3C RTCIceParameters: the credentials of one generation. RFC 8445 §5.3. */
export interface IceParameters {
  readonly usernameFragment: string
  readonly password: string
  readonly iceLite?: boolean
}

/** Bytes from the caller's source of randomness: crypto in production, a seed in simulations. */
export type Random = (length: number) => Uint8Array

/** RFC 8839 §5.4: at least 24 bits; 48 here, so that a thousand agents on one port do not meet. */
const UFRAG_LENGTH = 8
/** RFC 8839 §5.4: at least 128 bits; 144 here. */
const PASSWORD_LENGTH = 24

export function generateParameters(random: Random): IceParameters {
  return { usernameFragment: iceChars(random, UFRAG_LENGTH), password: iceChars(random, PASSWORD_LENGTH) }
}

/**
 * RFC 8839 §5.4 allows a ufrag of 256, which as a pair does not fit the 508 bytes of USERNAME (RFC 8489 §14.3):
 * our own stay short enough for any peer's.
 */
const MAX_LOCAL_UFRAG = 250

/** Throws ERR_ICE_ARGUMENT when the peer's or the caller's parameters are not RFC 8839 §5.4's. */
export function checkParameters(parameters: IceParameters): IceParameters {
  const { usernameFragment, password } = parameters
  if (!isIceChars(usernameFragment, 4)) {
    throw new IceError(
      'ERR_ICE_ARGUMENT',
      'usernameFragment must be 4 to 256 letters, digits, "+" or "/": pass on what the peer signalled',
    )
  }
  if (!isIceChars(password, 22)) {
    throw new IceError(
      'ERR_ICE_ARGUMENT',
      'password must be 22 to 256 letters, digits, "+" or "/": pass on what the peer signalled',
    )
  }
  return parameters
}

/** As `checkParameters`, for parameters that the caller has chosen for this side. */
export function checkLocalParameters(parameters: IceParameters): IceParameters {
  if (parameters.usernameFragment.length > MAX_LOCAL_UFRAG) {
    throw new IceError(
      'ERR_ICE_ARGUMENT',
      `usernameFragment is longer than ${MAX_LOCAL_UFRAG}: choose a shorter one, or none`,
    )
  }
  return checkParameters(parameters)
}

/** As `checkParameters`, for parameters that the peer has signalled. `known`: those it signalled before, in this generation. */
export function checkRemoteParameters(remote: IceParameters, known: IceParameters | undefined, lite: boolean): void {
  checkParameters(remote)
  if (lite && remote.iceLite) {
    throw new IceError('ERR_ICE_ARGUMENT', 'Both peers are lite, so nobody would check: make this agent without lite')
  }
  if (known && (known.usernameFragment !== remote.usernameFragment || known.password !== remote.password)) {
    throw new IceError(
      'ERR_ICE_STATE',
      'The peer has new parameters: call restart(), signal the new local parameters, then start()',
    )
  }
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

function iceChars(random: Random, length: number): string {
  // Joined rather than added up: engines keep a sum as a tree of its parts, which is ten times as large.
  return Array.from(random(length), (byte) => ALPHABET[byte & 63]).join('')
}

/** Real stacks also send "-", "_" and "=" (base64url); RFC 8839's grammar is the minimum, not a reason to fail. */
function isIceChars(text: unknown, minimum: number): boolean {
  return typeof text === 'string' && text.length >= minimum && text.length <= 256 && /^[A-Za-z0-9+/_=-]+$/.test(text)
}
