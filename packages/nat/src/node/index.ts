/**
 * @floe/nat/node: port mapping, NAT behaviour and NAT64 with sockets. Everything of @floe/nat is here too.
 * @module
 */
export * from '../index.ts'
export { checkForwarding } from './check-forwarding.ts'
export { type DiscoverBehaviorOptions, type DiscoveredBehavior, discoverBehavior } from './discover-behavior.ts'
export { type DiscoveredNat64, type DiscoverNat64Options, discoverNat64 } from './discover-nat64.ts'
export { findTranslator, type Nat64Translator } from './find-translator.ts'
export { defaultGateway } from './gateway.ts'
export type { MappingProbe } from './mapping-watch.ts'
export { type MapOptions, type Mapping, PortMapper, type PortMapperOptions } from './port-mapper.ts'
export { StunServer, type StunServerOptions } from './stun-server.ts'
