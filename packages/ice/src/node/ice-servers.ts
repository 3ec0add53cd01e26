import { addressFamily, parseStunUri, parseTurnUri, type ServerUri } from '@floe/stun'
import { IceError } from '../error.ts'

/** W3C RTCIceServer. */
export interface IceServer {
  /** `stun:host[:port]`, `stuns:…`, `turn:host[:port][?transport=udp|tcp]`, `turns:…` (RFC 7064, RFC 7065). */
  readonly urls: string | readonly string[]
  readonly username?: string
  readonly credential?: string
}

/** One URL of the configuration. */
export interface ConfiguredServer {
  /** As configured, for events and statistics. */
  readonly url: string
  readonly uri: ServerUri
  /** The host is an IP address: nothing needs to be resolved. */
  readonly literal: boolean
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

function parseServer(url: string, { username, credential }: IceServer): ConfiguredServer {
  const uri = parseStunUri(url) ?? parseTurnUri(url)
  if (!uri) {
    throw new IceError(
      'ERR_ICE_ARGUMENT',
      `"${url}" in iceServers is no STUN or TURN URL: write stun:host:port, or turn:host:port?transport=udp`,
    )
  }
  if (uri.scheme.startsWith('turn') && (username === undefined || credential === undefined)) {
    throw new IceError('ERR_ICE_ARGUMENT', `"${url}" in iceServers needs a username and a credential`)
  }
  return { url, uri, literal: addressFamily(uri.host) !== undefined }
}
