import { addressFamily, parseStunUri, parseTurnUri, type ServerUri } from '@floe/stun'
import { credentialsFault, isAllowedPort } from '@floe/turn'
import { IceError } from '../error.ts'
import type { RelayProtocol, ServerAddress } from '../servers.ts'

/** W3C RTCIceServer. */
export interface IceServer {
  /**
   * `stun:host[:port]`, `stuns:…`, `turn:host[:port][?transport=udp|tcp]`, `turns:…` (RFC 7064, RFC 7065). TURN has port
   * 53, 80, 443, or one from 1024 on; others are not asked, which is an `icecandidateerror`.
   */
  readonly urls: string | readonly string[]
  /** Of a TURN server: at most 508 bytes of UTF-8 (RFC 8489 §14.3). */
  readonly username?: string
  readonly credential?: string
  /**
   * Not W3C's. Asks a TURN server for mobility (RFC 8016): when this host's address changes, the relayed address stays and
   * the peer notices nothing. Switch it on for servers that offer it (coturn: `mobility`): others cost a round trip more.
   */
  readonly mobility?: boolean
}

/** One URL of the configuration. */
export interface ConfiguredServer {
  /** As configured, for events and statistics. */
  readonly url: string
  readonly uri: ServerUri
  /** The host is an IP address: nothing needs to be resolved. */
  readonly literal: boolean
  /** Of a TURN server. */
  readonly username: string
  readonly credential: string
  readonly mobility: boolean
}

/** Throws ERR_ICE_ARGUMENT for what RTCPeerConnection refuses with SyntaxError or InvalidAccessError. */
export function parseIceServers(servers: readonly IceServer[]): ConfiguredServer[] {
  return servers.flatMap((server) => {
    const urls = typeof server.urls === 'string' ? [server.urls] : server.urls
    if (!Array.isArray(urls) || urls.length === 0) {
      throw new IceError('ERR_ICE_ARGUMENT', 'An entry of iceServers has no urls: give a string or an array of strings')
    }
    return urls.map((url) => parseServer(url, server))
  })
}

function parseServer(url: string, { username, credential, mobility = false }: IceServer): ConfiguredServer {
  const uri = parseStunUri(url) ?? parseTurnUri(url)
  if (!uri) {
    throw new IceError(
      'ERR_ICE_ARGUMENT',
      `"${url}" in iceServers is no STUN or TURN URL: write stun:host:port, or turn:host:port?transport=udp`,
    )
  }
  const complaint = uri.scheme.startsWith('turn') ? complaintOf(username, credential) : undefined
  if (complaint !== undefined) throw new IceError('ERR_ICE_ARGUMENT', `"${url}" in iceServers${complaint}`)
  return {
    url,
    uri,
    literal: addressFamily(uri.host) !== undefined,
    username: username ?? '',
    credential: credential ?? '',
    mobility,
  }
}

/** How a message goes on behind the URL of a TURN server with these credentials; `undefined`: they are in order. */
export function complaintOf(username: unknown, credential: unknown): string | undefined {
  if (username === undefined || credential === undefined) return ' needs a username and a credential'
  const fault = credentialsFault(username, credential)
  return fault === undefined ? undefined : `: ${fault}`
}

/** The same URL with the same credentials. */
export function isSameServer(configured: ConfiguredServer, server: ConfiguredServer | ServerAddress): boolean {
  if (configured.url !== server.url) return false
  if (!('username' in server)) return true
  return configured.username === server.username && configured.credential === server.credential
}

/** Why a server is not asked; `undefined` when it is. */
export function refusalOf(
  { uri: { scheme, transport, port } }: ConfiguredServer,
  relayOnly: boolean,
): string | undefined {
  if (scheme === 'stun') return relayOnly ? 'Not asked: gatherPolicy is relay' : undefined
  if (scheme === 'stuns') return 'Not asked: STUN over TLS or DTLS is not supported, use stun:'
  if (scheme === 'turns' && transport === 'udp')
    return 'Not asked: TURN over DTLS is not supported, use turns: over TCP, or turn:'
  // Who names servers, perhaps over signaling, must not make us talk to mail or database servers; libwebrtc is as strict.
  if (!isAllowedPort(port)) return `Not asked: TURN servers have port 53, 80, 443, or one from 1024 on, and not ${port}`
  return undefined
}

/** How a server is spoken to. RFC 7065 §3.1 leaves `turn:` without a transport to the client: browsers take UDP. */
export function protocolOf({ scheme, transport = 'udp' }: ServerUri): RelayProtocol {
  return scheme === 'turns' ? 'tls' : transport
}

/** The server at one of its addresses; `ip` may be its name, where a proxy leads there. */
export function serverAddress(server: ConfiguredServer, ip: string, hasProxy: boolean): ServerAddress {
  const { url, uri, username, credential, mobility } = server
  const address = { ip, port: uri.port }
  if (uri.scheme === 'stun' || uri.scheme === 'stuns') return { scheme: 'stun', address, url }
  const hostname = uri.host
  const protocol = protocolOf(uri)
  const viaProxy = hasProxy && protocol !== 'udp'
  return { scheme: 'turn', protocol, address, url, username, credential, hostname, viaProxy, mobility }
}
