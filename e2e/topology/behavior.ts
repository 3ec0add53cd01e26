/** What boxes do to packets, as data: the simulator and the kernel lab are built from the same words. Times in milliseconds. */

/** How far state depends on the other endpoint (RFC 4787 §4.1 for mappings, §5 for filters). */
export type Dependence = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'

/** The ports that one subscriber of a carrier-grade NAT gets (RFC 7422), both ends included. */
export interface PortBlock {
  readonly low: number
  readonly high: number
}

/** A NAT in the words of RFC 4787. */
export interface NatBehavior {
  readonly mapping: Dependence
  readonly filtering: Dependence
  /** §4.2: the internal port when it is free; the next one up; any free one; any free one of a block. Default `preserve`. */
  readonly allocation?: 'preserve' | 'sequential' | 'random' | PortBlock
  /**
   * §4.2.1 "port overloading": mappings may share an external port as long as their other endpoints differ, as in Linux'
   * conntrack. Needs address-and-port-dependent mapping; with `preserve` the outside sees one port all the same.
   */
  readonly overloading?: boolean
  /** §6: from inside to its own external address. The peer sees the sender's internal or external endpoint. Default `none`. */
  readonly hairpin?: 'none' | 'internal' | 'external'
  /** §4.3: without an outbound packet, once something has come back. Default 120 s, REQ-5's floor. */
  readonly mappingTimeout?: number
  /** The same while nothing has come back yet. Default: `mappingTimeout`; Linux: 30 s. */
  readonly unrepliedTimeout?: number
  /** REQ-6b: inbound packets keep a mapping alive too. Default false, the harder case. */
  readonly inboundRefresh?: boolean
  /** A mapping dies at this age, however busy it is. Some carriers do that. Default: never. */
  readonly maximumLifetime?: number
  /** RFC 6888 REQ-4: mappings that one inside host may hold at a time. Default: as many as there are ports. */
  readonly portQuota?: number
  /**
   * What becomes of a packet from outside that no mapping or filter lets in. `tracked`: the box takes it for its own and
   * remembers the flow, so that the port is no longer free towards that endpoint (Linux whose INPUT chain accepts).
   * Such a box needs `overloading`. Default `dropped`.
   */
  readonly unsolicited?: 'dropped' | 'tracked'
}

/** A packet filter without translation: what stands before IPv6 hosts (RFC 6092) and corporate networks. */
export interface FirewallPolicy {
  /** Who may answer an inside endpoint that has sent outwards. Default `address-and-port-dependent`. */
  readonly filtering?: Dependence
  /** Destination ports that UDP may leave to; left out: all, empty: UDP is blocked. */
  readonly outgoingPorts?: readonly number[]
  /** Destination ports that TCP may leave to; left out: all, empty: none. */
  readonly outgoingTcpPorts?: readonly number[]
  /** Milliseconds that a permission lives after the last outbound packet. Default 120 s. */
  readonly timeout?: number
}

/** What one direction of a wire does to packets. Everything left out is perfect. */
export interface LinkQuality {
  /** Milliseconds one way. */
  readonly latency?: number
  /** At most this many milliseconds more, evenly spread. Order is kept: a queue, not a lottery. */
  readonly jitter?: number
  /** Probability 0…1 that a packet vanishes. */
  readonly loss?: number
  /** Loss that comes in bursts, beside `loss`. */
  readonly bursts?: LossBursts
  /** Probability 0…1 that a packet arrives twice. */
  readonly duplicate?: number
  /** Probability 0…1 that a packet is held back, so that later ones overtake it. */
  readonly reorder?: number
  /** The largest IP packet in bytes, headers included; larger ones vanish without an ICMP message, as in a PMTU black hole. */
  readonly mtu?: number
  /** `all`: nothing passes. `data`: STUN passes and everything else vanishes. */
  readonly drops?: 'all' | 'data'
}

/** Gilbert–Elliott in time: bursts begin and end at random, and within one packets are lost with this probability. */
export interface LossBursts {
  /** Mean milliseconds between two bursts. */
  readonly every: number
  /** Mean milliseconds that one lasts. */
  readonly lasting: number
  readonly loss: number
}
