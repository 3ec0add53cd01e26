import { complaintOf, type IceServer, type IceTransportOptions } from '@floe/ice/node'
import { parseStunUri, parseTurnUri } from '@floe/stun'
import type { NodeIceOptions } from '../configuration.ts'
import { RTCCertificate } from './certificate.ts'
import { networkOptions } from './network.ts'
import { dictionary, enforceRange, oneOf } from './webidl.ts'

/** Chrome's, and what this side can put together in memory; bytes. Announced as `a=max-message-size` (RFC 8841 §6). */
export const MAX_MESSAGE_BYTES = 262_144

const ICE_TRANSPORT_POLICIES = ['all', 'relay'] as const
const BUNDLE_POLICIES = ['balanced', 'max-bundle', 'max-compat'] as const
const RTCP_MUX_POLICIES = ['require'] as const
/** `octet`. */
const MAX_POOL_SIZE = 255

/** W3C RTCConfiguration, and `ice` for what W3C leaves to the machine: interfaces, ports, mDNS, mux, timing … */
export interface NodeConfiguration {
  iceServers?: RTCIceServer[]
  iceTransportPolicy?: RTCIceTransportPolicy
  bundlePolicy?: RTCBundlePolicy
  rtcpMuxPolicy?: RTCRtcpMuxPolicy
  /** Default: a new one for every connection, so that two connections cannot be linked by it. */
  certificates?: RTCCertificate[]
  /** Kept, and that is all: floe has nothing to gain from gathering before it is asked to. */
  iceCandidatePoolSize?: number
  ice?: NodeIceOptions
}

/** Every member is there, and checked. */
export interface CheckedConfiguration extends Required<Omit<NodeConfiguration, 'iceServers'>> {
  iceServers: CheckedIceServer[]
}

interface CheckedIceServer extends IceServer {
  readonly urls: string[]
}

/**
 * webrtc-pc §4.4.1.6. Throws TypeError for wrong types, SyntaxError for malformed URLs, InvalidAccessError for TURN
 * servers without credentials or with a user name of more than 508 bytes (RFC 8489 §14.3), and for expired certificates.
 */
export function checkConfiguration(configuration: NodeConfiguration | null | undefined): CheckedConfiguration {
  const {
    iceServers = [],
    iceTransportPolicy = 'all',
    bundlePolicy = 'balanced',
    rtcpMuxPolicy = 'require',
    certificates = [],
    iceCandidatePoolSize = 0,
    ice,
  } = dictionary(configuration, 'RTCConfiguration')
  const checked = {
    iceTransportPolicy: oneOf(iceTransportPolicy, ICE_TRANSPORT_POLICIES, 'iceTransportPolicy'),
    bundlePolicy: oneOf(bundlePolicy, BUNDLE_POLICIES, 'bundlePolicy'),
    rtcpMuxPolicy: oneOf(rtcpMuxPolicy, RTCP_MUX_POLICIES, 'rtcpMuxPolicy'),
    iceCandidatePoolSize: enforceRange(iceCandidatePoolSize, MAX_POOL_SIZE, 'iceCandidatePoolSize'),
    ice: dictionary(ice, 'ice'),
  }
  return {
    ...checked,
    certificates: sequence(certificates, 'certificates').map(checkCertificate),
    iceServers: sequence(iceServers, 'iceServers').map(checkServer),
  }
}

/** What `setConfiguration()` may not change: throws InvalidModificationError. */
export function checkChange(
  from: CheckedConfiguration,
  to: CheckedConfiguration,
  given: NodeConfiguration,
  hasLocalDescription: boolean,
): void {
  const { certificates } = given
  if (certificates && !isSame(certificates, from.certificates)) refuseChange('certificates')
  if (to.bundlePolicy !== from.bundlePolicy) refuseChange('bundlePolicy')
  if (to.rtcpMuxPolicy !== from.rtcpMuxPolicy) refuseChange('rtcpMuxPolicy')
  if (hasLocalDescription && to.iceCandidatePoolSize !== from.iceCandidatePoolSize) {
    refuseChange('iceCandidatePoolSize after setLocalDescription()')
  }
}

/** As `getConfiguration()` gives it: the caller's to change. */
export function copyConfiguration(configuration: CheckedConfiguration): NodeConfiguration {
  const { iceServers, certificates, ...others } = configuration
  return {
    ...others,
    iceServers: iceServers.map((server) => ({ ...server, urls: [...server.urls] })),
    ...(certificates.length > 0 && { certificates: [...certificates] }),
  }
}

/** The options of every ICE transport of a connection. */
export function iceOptions({ iceServers, iceTransportPolicy, ice }: CheckedConfiguration): IceTransportOptions {
  const { portMapping = false, ...others } = ice
  return { iceServers, gatherPolicy: iceTransportPolicy, ...networkOptions(portMapping), ...others }
}

function checkCertificate(certificate: unknown): RTCCertificate {
  if (!(certificate instanceof RTCCertificate)) {
    throw new TypeError('certificates come from RTCPeerConnection.generateCertificate()')
  }
  if (certificate.expires <= Date.now()) throw new DOMException('A certificate has expired', 'InvalidAccessError')
  return certificate
}

function checkServer(server: unknown): CheckedIceServer {
  if (typeof server !== 'object' || server === null) throw new TypeError('Every entry of iceServers is an object')
  const { urls, username, credential, mobility } = server as RTCIceServer & Pick<IceServer, 'mobility'>
  if (urls === undefined) throw new TypeError('Every entry of iceServers has urls')
  const list = typeof urls === 'string' ? [urls] : sequence(urls, 'urls').map(String)
  if (list.length === 0) throw new DOMException('An entry of iceServers has no URL', 'SyntaxError')
  const credentials = {
    ...(username !== undefined && { username: String(username) }),
    ...(credential !== undefined && { credential: String(credential) }),
  }
  for (const url of list) checkUrl(url, credentials)
  return {
    urls: list,
    ...credentials,
    ...(mobility !== undefined && { mobility: Boolean(mobility) }),
  }
}

function checkUrl(url: string, { username, credential }: Pick<IceServer, 'username' | 'credential'>): void {
  if (parseStunUri(url)) return
  if (!parseTurnUri(url)) throw new DOMException(`"${url}" is no STUN or TURN URL`, 'SyntaxError')
  const complaint = complaintOf(username, credential)
  if (complaint !== undefined) throw new DOMException(`"${url}"${complaint}`, 'InvalidAccessError')
}

function sequence(value: unknown, what: string): unknown[] {
  if (typeof value === 'object' && value !== null && Symbol.iterator in value) return [...(value as Iterable<unknown>)]
  throw new TypeError(`${what} has to be a sequence`)
}

function isSame(these: readonly unknown[], those: readonly unknown[]): boolean {
  return these.length === those.length && these.every((certificate, i) => certificate === those[i])
}

function refuseChange(what: string): never {
  throw new DOMException(`setConfiguration() cannot change ${what}`, 'InvalidModificationError')
}
