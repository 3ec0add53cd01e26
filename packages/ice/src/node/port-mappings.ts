import type { Address, Packet } from '@floe/stun'
import { addressScope } from '../candidate.ts'
import type { UdpSocket } from './sockets.ts'

/** What maps UDP ports at the router: a `PortMapper` of @floe/nat/node, or whatever keeps this promise. */
export interface PortMapper {
  /**
   * Maps a bound socket's address and keeps it mapped until `signal` aborts. Resolves soon, to `undefined` when there is
   * no mapping; `onchange` hears of one that comes later, of one that moves, and of one that is lost.
   */
  map(
    local: Address,
    options: {
      readonly signal: AbortSignal
      readonly onchange: (mapping: PortMapping | undefined, reason: string) => void
      /** What does not work although the mapping does, for the log. */
      readonly onwarning: (reason: string) => void
      /** For a mapper that looks whether its mappings forward: STUN over the mapped socket. */
      readonly probe: PortMappingProbe
    },
  ): Promise<PortMapping | undefined>
}

export interface PortMapping {
  /** Where the router takes packets for the socket. */
  readonly external: Address
  /** For the log. */
  readonly protocol?: string
}

export interface PortMappingProbe {
  /** STUN servers that are known by now. */
  servers(): readonly Address[]
  send(bytes: Uint8Array, remote: Address): void
  /** The mapper sets it, to hear of packets that are not ICE's. */
  onpacket: ((bytes: Uint8Array, remote: Address) => void) | undefined
}

export interface PortMappingsOwner {
  servers(): readonly Address[]
  send(packet: Packet): void
  /** The socket's external address has changed; `undefined`: it has none. */
  onmapping(socket: UdpSocket, external: Address | undefined): void
  /** The router has been asked for this socket, whatever came of it. */
  onsettled(): void
  log(event: string, detail: string, reason: string): void
}

/** The mappings of one transport's sockets, until it closes. Packets that the agent does not want are for their probes. */
export class PortMappings {
  readonly #mapper: PortMapper
  readonly #owner: PortMappingsOwner
  readonly #aborts = new Map<UdpSocket, AbortController>()
  readonly #probes = new Map<Address, PortMappingProbe>()

  constructor(mapper: PortMapper, owner: PortMappingsOwner) {
    this.#mapper = mapper
    this.#owner = owner
  }

  /** The sockets that are mapped: the best few of those that a router may stand before. */
  static eligible(sockets: readonly UdpSocket[]): UdpSocket[] {
    const behindRouters = sockets.filter(({ host }) => {
      if (host.kind !== 'ordinary' || addressScope(host.ip) === 'link-local') return false
      return host.family === 6 || addressScope(host.ip) !== 'global'
    })
    return ([4, 6] as const).flatMap((family) =>
      behindRouters.filter(({ host }) => host.family === family).slice(0, MAPPED_PER_FAMILY),
    )
  }

  /** `onsettled` follows, not before this returns. */
  add(socket: UdpSocket): void {
    void this.#map(socket)
  }

  /** What nobody else has taken. */
  handlePacket({ local, remote, bytes }: Packet): void {
    this.#probes.get(local)?.onpacket?.(bytes, remote)
  }

  /** Gives its mapping back; nobody needs to wait for that. */
  remove(socket: UdpSocket): void {
    this.#aborts.get(socket)?.abort()
    this.#aborts.delete(socket)
    this.#probes.delete(socket.address)
  }

  close(): void {
    for (const socket of [...this.#aborts.keys()]) this.remove(socket)
  }

  async #map(socket: UdpSocket): Promise<void> {
    const abort = new AbortController()
    const { signal } = abort
    this.#aborts.set(socket, abort)
    const { ip, port } = socket.address
    const onwarning = (reason: string) => this.#owner.log('mapping', `${ip}:${port}`, reason)
    const tell = (mapping: PortMapping | undefined, reason: string) => {
      if (signal.aborted) return
      const external = mapping && `${mapping.external.ip}:${mapping.external.port}`
      this.#owner.log(mapping ? 'mapped' : 'not-mapped', `${ip}:${port}${external ? ` at ${external}` : ''}`, reason)
      this.#owner.onmapping(socket, mapping?.external)
    }
    const probe: PortMappingProbe = {
      servers: () => this.#owner.servers(),
      send: (bytes, remote) => this.#owner.send({ protocol: 'udp', local: socket.address, remote, bytes }),
      onpacket: undefined,
    }
    this.#probes.set(socket.address, probe)
    try {
      const mapping = await this.#mapper.map(socket.address, { signal, onchange: tell, onwarning, probe })
      if (mapping) tell(mapping, mapping.protocol ?? '')
    } catch (error) {
      tell(undefined, (error as Error).message) // A mapper that is closed, for instance: no reason to do without ICE.
    }
    if (!signal.aborted) this.#owner.onsettled()
  }
}

/** Sockets beyond these are of second networks, which a second router seldom leads out of. */
const MAPPED_PER_FAMILY = 2
