/**
 * @floe/ice/node: ICE with sockets. Everything of @floe/ice is here too.
 * @module
 */
export * from '../index.ts'
export {
  IceCandidateErrorEvent,
  IceCandidateEvent,
  type IceCandidateInit,
  IceCandidatesRemovedEvent,
  type IceTransportEventMap,
  SelectedCandidatePairChangeEvent,
} from './events.ts'
export { complaintOf, type IceServer } from './ice-servers.ts'
export { IceTransport } from './ice-transport.ts'
export type { InterfaceAddress, InterfaceKind } from './interfaces.ts'
export { UdpMux, type UdpMuxOptions, type UnknownRequest } from './mux.ts'
export type { AddressTranslator } from './nat64.ts'
export type { IceTransportOptions } from './options.ts'
export type { PortMapper, PortMapping, PortMappingProbe } from './port-mappings.ts'
export type { PortRange } from './sockets.ts'
export type {
  IceCandidatePairStats,
  IceCandidateStats,
  IceStats,
  IceStatsReport,
  IceTransportStats,
  PathSwitchStats,
} from './stats.ts'
