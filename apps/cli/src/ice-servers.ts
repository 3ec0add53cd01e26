/** Which STUN and TURN servers a connection uses, and how. */
import type { PortMapper } from '@floe/nat/node'
import type { Peer } from '@floe/signaling'
import { parseStunUri, parseTurnUri } from '@floe/stun'
import type { ConnectOptions } from '@floe/webrtc'
import { usageError } from './failure.ts'

export interface IceServerChoice {
  /** `undefined`: those that the room offers. */
  readonly iceServers: RTCIceServer[] | undefined
  readonly relayOnly: boolean
}

/** What one RTCIceServer may have, as signaling passes it on. */
export const MAX_URLS = 8

/** STUN servers, if any were named. */
export function parseStunUrls(command: string, urls: readonly string[]): { urls: string[] }[] {
  for (const url of urls) {
    if (parseStunUri(url)?.scheme !== 'stun') {
      throw usageError(`--stun wants a URL such as stun:stun.example.org:3478, not '${url}'.`, command)
    }
  }
  if (urls.length > MAX_URLS) throw usageError(`--stun takes ${MAX_URLS} URLs: one or two are enough.`, command)
  return urls.length === 0 ? [] : [{ urls: [...urls] }]
}

/** TURN servers, if any were named, with the credentials that go with all of them. */
export function parseTurnServers(
  command: string,
  urls: readonly string[],
  username: string | undefined,
  credential: string | undefined,
): RTCIceServer[] {
  for (const url of urls) {
    if (parseTurnUri(url) !== undefined) continue
    throw usageError(`--turn-server wants a URL such as turn:turn.example.org?transport=tcp, not '${url}'.`, command)
  }
  if (urls.length > 0 && username !== undefined && credential !== undefined) {
    return [{ urls: [...urls], username, credential }]
  }
  if (urls.length === 0 && username === undefined && credential === undefined) return []
  throw usageError('--turn-server, --turn-username and --turn-credential go together.', command)
}

/** Whether a relay can come of it. */
export function hasRelay(iceServers: readonly RTCIceServer[]): boolean {
  return urlsOf(iceServers).some((url) => parseTurnUri(url) !== undefined)
}

/** What connect() is told. */
export function connectionOptions(
  peer: Peer,
  { iceServers, relayOnly }: IceServerChoice,
  portMapper?: PortMapper,
): Pick<ConnectOptions, 'iceServers' | 'configuration'> {
  // A TURN server on this machine's loopback is reached from there only.
  const local = urlsOf(iceServers ?? peer.iceServers).some((url) => LOOPBACK.test(parseTurnUri(url)?.host ?? ''))
  return {
    ...(iceServers && { iceServers }),
    configuration: {
      ...(relayOnly && { iceTransportPolicy: 'relay' }),
      ice: { ...(local && { includeLoopback: true }), ...(portMapper && { portMapper }) },
    },
  }
}

const LOOPBACK = /^(localhost|127\..*|::1)$/i

function urlsOf(iceServers: readonly Pick<RTCIceServer, 'urls'>[]): string[] {
  return iceServers.flatMap(({ urls }) => urls)
}
