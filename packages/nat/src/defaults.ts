/** Every constant of port mapping, with its section and, where ours differs, why. Times in milliseconds. */
export const MAPPING = {
  /** Lifetime to ask for: RFC 6886 §3.3's recommendation, and what every router known to us grants. */
  lifetime: 7_200_000,
  /** A longer grant is not believed, RFC 6887 §15. */
  maxLifetime: 86_400_000,
  /**
   * First retransmission of a request, RFC 6886 §3.1. RFC 6887 §8.1.1 says 3 s, which would cost a whole session its
   * mapping for one lost packet; it doubles, so that a silent gateway hears six packets in its first 8 s.
   */
  rto: 250,
  /** Longest pause between requests to a silent gateway, MRT of RFC 6887 §8.1.1. */
  maxRto: 1_024_000,
  /** How often, and how far apart at first, a release is repeated. Its lifetime ends anyway: nobody waits long for it. */
  releaseSends: 2,
  /** At least this long between renewals of one lease, RFC 6887 §11.2.1. */
  minRenewal: 4_000,
  /** A mapping that a restarted router does not make anew within this time is reported lost. */
  doubt: 2_000,
  /** At most one new request per this time on the word of an announcement: anybody on the link can forge one. */
  recovery: 1_000,
  /** What was refused for good (not authorised, another NAT between) is asked for again after this time. */
  refusal: 600_000,
  /** Bounds of the time that an error's own lifetime may ask us to wait, RFC 6887 §7.2 and §7.4. */
  minError: 30_000,
  maxError: 1_800_000,
  /** Other external ports tried when one is refused as taken. */
  otherPorts: 3,
} as const

/** UDP port of PCP and NAT-PMP servers, RFC 6887 §19.1. */
export const SERVER_PORT = 5351
/** UDP port where clients hear announcements, RFC 6887 §19.1. */
export const ANNOUNCEMENT_PORT = 5350
/** Multicast groups of announcements, RFC 6887 §14.1.1. */
export const ANNOUNCEMENT_GROUP = { 4: '224.0.0.1', 6: 'ff02::1' } as const

/** The race of the protocols for one mapping. Times in milliseconds from its start. */
export const RACE = {
  /** UPnP finds but does not map until then, unless PCP and NAT-PMP have failed: one mapping is enough. */
  hold: 500,
  /**
   * When a protocol enters that is not the first to be tried, unless another's failure brings it in before. UPnP: most
   * routers that speak PCP or NAT-PMP have answered by then, and nobody has been bothered by multicast. NAT-PMP: the
   * router should have refused PCP's version (RFC 6886 §3.5), but some ignore what they do not know.
   */
  start: { pcp: 0, upnp: 50, 'nat-pmp': 750 },
  /** When a session goes on without a mapping: later ones are reported as well. */
  patience: 2_000,
  /** At most one new race per this time on the word of an announcement: a search costs nine packets. */
  revival: 10_000,
} as const
