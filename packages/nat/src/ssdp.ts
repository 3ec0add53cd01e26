/** UPnP Device Architecture 1.1 §1.2 and §1.3: devices say that they are there, by HTTP headers in datagrams. */
import type { Address } from '@floe/stun'
import { hostHeader } from './http.ts'

export const SSDP_PORT = 1900
/** Multicast groups: UPnP Device Architecture §1.3.2 and Annex A.4 (link-local). */
export const SSDP_GROUP = { 4: '239.255.255.250', 6: 'ff02::c' } as const

/** Longest datagram that is read, in bytes; real ones have 300 to 600. */
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
  const text = textOf(bytes)
  return /^HTTP\/1\.[01] 200 /i.test(text) ? header(text, 'LOCATION') : undefined
}

/** What a device says of itself. */
export interface DeviceNote {
  /** `answer` to a search; the others are NOTIFYs, to everybody. `update`: it gets another boot id without a restart. */
  readonly kind: 'answer' | 'alive' | 'byebye' | 'update'
  /** `uuid:…`, the same for all that belongs to one device. */
  readonly device: string
  /** What the note is about: a device or service type. */
  readonly target: string
  /** Another one with each start, of devices that know such a thing. With `update`: the next one. */
  readonly boot: string | undefined
  readonly location: string | undefined
}

/** `undefined`: neither a NOTIFY (UPnP Device Architecture 1.1 §1.2) nor a positive answer to a search (§1.3.3). */
export function parseDeviceNote(bytes: Uint8Array): DeviceNote | undefined {
  const text = textOf(bytes)
  const isAnswer = /^HTTP\/1\.[01] 200 /i.test(text)
  const kind = isAnswer ? 'answer' : KINDS.get(header(text, 'NTS') ?? '')
  const device = /^uuid:[^:]+/i.exec(header(text, 'USN') ?? '')?.[0]
  const target = header(text, isAnswer ? 'ST' : 'NT')
  if (kind === undefined || device === undefined || target === undefined) return undefined
  if (!isAnswer && !/^NOTIFY \* HTTP\/1\.[01]\r?\n/i.test(text)) return undefined
  // 01-NLS is what devices of UDA 1.0 had in its place.
  const boot = kind === 'update' ? header(text, 'NEXTBOOTID.UPNP.ORG') : header(text, 'BOOTID.UPNP.ORG')
  return { kind, device, target, boot: boot ?? header(text, '01-NLS'), location: header(text, 'LOCATION') }
}

const KINDS: ReadonlyMap<string, DeviceNote['kind']> = new Map([
  ['ssdp:alive', 'alive'],
  ['ssdp:byebye', 'byebye'],
  ['ssdp:update', 'update'],
])

/** Empty when it is longer than any that is read. */
function textOf(bytes: Uint8Array): string {
  return bytes.length > MAX_RESPONSE ? '' : String.fromCharCode(...bytes)
}

/** One word without spaces, as all that we read is. */
function header(text: string, name: string): string | undefined {
  return new RegExp(`^${name.replaceAll('.', '\\.')}:[ \\t]*([!-~]+)[ \\t]*\\r?$`, 'im').exec(text)?.[1]
}
