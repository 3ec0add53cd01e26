import type { IgdService } from './igd.ts'
import type { MappingProtocol } from './mapping.ts'
import type { KnownDevice } from './restart-watch.ts'

/** How long it is believed, milliseconds: as iroh and Tailscale do; routers get replaced, and get updates. */
const VALIDITY = 600_000

/**
 * What the mappings of one gateway have learnt of it, so that the next one need not search: share one among all
 * PortMappings of a gateway and a local address.
 */
export class GatewayMemory {
  #protocol: MappingProtocol | undefined
  #services: readonly IgdService[] = []
  #until = Number.NEGATIVE_INFINITY
  /** What its devices said of themselves last, by their `uuid:…` and type. */
  readonly devices = new Map<string, KnownDevice>()

  /** The protocol that made the last mapping. */
  protocol(now: number): MappingProtocol | undefined {
    return now < this.#until ? this.#protocol : undefined
  }

  /** UPnP services that made a mapping. */
  services(now: number): readonly IgdService[] {
    return now < this.#until ? this.#services : []
  }

  learn(now: number, protocol: MappingProtocol, services: readonly IgdService[] = this.#services): void {
    this.#protocol = protocol
    this.#services = services
    this.#until = now + VALIDITY
  }

  /** UPnP has failed: the services may have moved. */
  forgetServices(): void {
    this.#services = []
  }
}
