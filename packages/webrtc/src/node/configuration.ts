import type { IceTransportOptions } from '@floe/ice/node'
import { RTCCertificate } from './certificate.ts'

/** Chrome's, and what this side can put together in memory; bytes. Announced as `a=max-message-size` (RFC 8841 §6). */
export const MAX_MESSAGE_BYTES = 262_144

/** W3C RTCConfiguration, and `ice` for what W3C leaves to the machine: interfaces, ports, mDNS, mux, timing … */
export interface NodeConfiguration {
  iceServers?: RTCIceServer[]
  iceTransportPolicy?: RTCIceTransportPolicy
  /** Default 'max-bundle', unlike W3C: one transport for everything. */
  bundlePolicy?: RTCBundlePolicy
  rtcpMuxPolicy?: RTCRtcpMuxPolicy
  /** Default: a new one for every connection, so that two connections cannot be linked by it. */
  certificates?: RTCCertificate[]
  ice?: IceTransportOptions
}

/** Throws what W3C's constructor throws: InvalidAccessError for expired certificates, TypeError for wrong types. */
export function checkConfiguration(configuration: NodeConfiguration): void {
  const { rtcpMuxPolicy = 'require', certificates = [], iceTransportPolicy = 'all' } = configuration
  if (rtcpMuxPolicy !== 'require') throw new TypeError("rtcpMuxPolicy can only be 'require' (RFC 8858)")
  if (iceTransportPolicy !== 'all' && iceTransportPolicy !== 'relay') {
    throw new TypeError("iceTransportPolicy can be 'all' or 'relay'")
  }
  for (const certificate of certificates) {
    if (!(certificate instanceof RTCCertificate)) {
      throw new TypeError('certificates come from RTCPeerConnection.generateCertificate()')
    }
    if (certificate.expires <= Date.now()) throw new DOMException('A certificate has expired', 'InvalidAccessError')
  }
}

/** The options of every ICE transport of a connection. */
export function iceOptions(configuration: NodeConfiguration): IceTransportOptions {
  const { iceServers, iceTransportPolicy, ice = {} } = configuration
  return {
    ...(iceServers ? { iceServers } : {}),
    ...(iceTransportPolicy ? { gatherPolicy: iceTransportPolicy } : {}),
    ...ice,
  }
}
