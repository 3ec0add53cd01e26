/** What @floe/nat does for every connection of this process. */
import type { IceTransportOptions } from '@floe/ice/node'
import { findTranslator, PortMapper } from '@floe/nat/node'

/** One for the process: mappings of one host share what was learnt of its router. Idle it holds nothing open. */
let portMapper: PortMapper | undefined

/** NAT64 is looked for where there is no IPv4; the router is asked where that is wanted. */
export function networkOptions(portMapping: boolean): Pick<IceTransportOptions, 'nat64' | 'portMapper'> {
  if (!portMapping) return { nat64: findTranslator }
  portMapper ??= new PortMapper()
  return { nat64: findTranslator, portMapper }
}
