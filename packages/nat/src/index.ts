/**
 * @floe/nat: port mapping (PCP, NAT-PMP, UPnP IGD), NAT behaviour discovery and NAT64, without sockets or clocks.
 * @module
 */
export {
  countLayers,
  type FilteringBehavior,
  type HairpinningBehavior,
  judgeAllocation,
  judgeMapping,
  type MappingBehavior,
  type NatBehavior,
  type Observation,
  type PortAllocation,
  type PortSample,
} from './behavior.ts'
export { BehaviorDiscovery, type BehaviorDiscoveryOptions, type BehaviorOutput } from './behavior-discovery.ts'
export {
  BindingServer,
  type BindingServerOptions,
  type BindingServerOutput,
  type BindingServerStats,
} from './binding-server.ts'
export { ANNOUNCEMENT_GROUP, ANNOUNCEMENT_PORT, SERVER_PORT } from './defaults.ts'
export { NatError, type NatErrorCode } from './error.ts'
export {
  ForwardingCheck,
  type ForwardingCheckOptions,
  type ForwardingOutput,
  type ForwardingVerdict,
} from './forwarding-check.ts'
export { GatewayMemory } from './gateway-memory.ts'
export type { HttpRequest, HttpResponse } from './http.ts'
export { type IgdService, parseDescription } from './igd.ts'
export type {
  FailureCode,
  MappingClient,
  MappingClientOptions,
  MappingClientOutput,
  MappingProtocol,
} from './mapping.ts'
export { decodeNatPmpResponse, NAT_PMP_RESULTS, NatPmpClient, type NatPmpMap, type NatPmpResponse } from './nat-pmp.ts'
export {
  extract,
  findPrefixes,
  IPV4_ONLY_NAME,
  type Nat64Prefix,
  type PrefixLength,
  parsePrefix,
  synthesize,
  WELL_KNOWN_PREFIX,
} from './nat64.ts'
export { PcpClient, type PcpClientOptions } from './pcp.ts'
export { decodePcpResponse, encodeMapRequest, PCP_RESULTS, type PcpMap, type PcpResponse } from './pcp-message.ts'
export { type ActiveMapping, PortMapping, type PortMappingOptions, type PortMappingOutput } from './port-mapping.ts'
export type { Random } from './random.ts'
export { addressScope, type Scope } from './scope.ts'
export { parseSearchResponse, SSDP_GROUP, SSDP_PORT } from './ssdp.ts'
export { UpnpClient, type UpnpClientOptions } from './upnp.ts'
