/** UPnP Device Architecture 1.1 §1.3: search for devices by HTTP headers in datagrams. */
import type { Address } from '@floe/stun'
import { hostHeader } from './http.ts'

export const SSDP_PORT = 1900
/** Multicast groups: UPnP Device Architecture §1.3.2 and Annex A.4 (link-local). */
export const SSDP_GROUP = { 4: '239.255.255.250', 6: 'ff02::c' } as const

/** Longest response that is read, in bytes; real ones have 300 to 600. */
const MAX_RESPONSE = 2_048

/**
 * M-SEARCH for a device type or `upnp:rootdevice`. `to` is a group or one host; a group's members wait up to `mx`
 * seconds, at random, before they answer.
 */
export function searchRequest(target: string, to: Address, mx: number | undefined): Uint8Array {
  const lines = [
    'M-SEARCH * HTTP/1.1',
    `HOST: ${hostHeader(to.ip, to.port)}`,
    'MAN: "ssdp:discover"',
    ...(mx === undefined ? [] : [`MX: ${mx}`]),
    `ST: ${target}`,
    '',
    '',
  ]
  return Uint8Array.from(lines.join('\r\n'), (character) => character.charCodeAt(0))
}

/** The LOCATION of a positive answer: the URL of a device description. */
export function parseSearchResponse(bytes: Uint8Array): string | undefined {
  if (bytes.length > MAX_RESPONSE) return undefined
  const text = String.fromCharCode(...bytes)
  if (!/^HTTP\/1\.[01] 200 /i.test(text)) return undefined
  return /^LOCATION:[ \t]*([!-~]+)[ \t]*\r?$/im.exec(text)?.[1]
}
