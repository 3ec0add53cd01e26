/** Every constant of the agent, with its RFC section and, where ours differs, why. Times in milliseconds. */
export const TIMING = {
  /**
   * Pace of new ordinary checks and gathering transactions of one agent. RFC 8445 §14.2 recommends 50 and allows down to
   * the 5 of PACER_FLOOR; 20 is what libnice, aioice and Tailscale's discovery have run with for years.
   */
  Ta: 20,
  /**
   * First retransmission of a check whose path has no measured RTT (RFC 8445 §14.3 says 500). 250 is libwebrtc's and
   * str0m's: a lost first check costs half as much, and a slower path costs one spare packet.
   */
  rto: 250,
  /** RFC 8445 §14.3 lets the RTO grow with the number of checks; at this one the last of Rc sends still fits `pac`. */
  maxRto: 500,
  /** Floor of the RTO on a path with a measured RTT: max(minRto, 2·RTT). Answers the jitter of a busy peer. */
  minRto: 100,
  /** Sends per transaction, RFC 8489 §6.2.1. */
  Rc: 7,
  /** A pair that has had Rc triggered checks in vain is checked so seldom while the peer goes on checking it, … */
  triggerInterval: 1_000,
  /** … and so often in all: until the PAC timer runs out, and not for ever. */
  maxTriggers: 45,
  /** Last wait, in initial RTOs, RFC 8489 §6.2.1. */
  Rm: 16,
  /** RTO towards a STUN server: as the checks', and libwebrtc's. */
  serverRto: 250,
  /** Sends to a STUN server. With serverRto it is given up after 250·(1+2+4+8+Rm) ms unless serverDeadline is earlier. */
  serverRc: 5,
  /** A server that is silent this long delays the end of candidates no further. Host candidates never wait for it. */
  serverDeadline: 5_000,
  /** The same for a TURN server: a TCP and a TLS handshake and two round trips of TURN, with a loss in between. */
  relayDeadline: 10_000,
  /** First pause before a TURN server is asked again that could not be reached; it doubles, up to `maxRelayPause`. */
  relayPause: 1_000,
  maxRelayPause: 60_000,
  /** An allocation that was there so long is asked for again at once when it is lost: the time of consent, RFC 7675 §5.1. */
  relayProof: 30_000,
  /** An allocation that has lost its way to the server is moved to another (RFC 8016) within consent's 30 s, or never. */
  moveDeadline: 30_000,
  /** How long a closing agent waits for a TURN server to confirm that an allocation is released, RFC 8656 §8. */
  releaseDeadline: 1_500,
  /** Keeps a server-reflexive mapping open until a pair is selected. RFC 8445 §5.1.1.4; under every NAT's timeout. */
  mappingKeepalive: 15_000,
  /** Mean consent interval, randomised ±20 %, RFC 7675 §5.1. It is also the keepalive (RFC 8445 §11 asks ≤ 15 s). */
  consentInterval: 5_000,
  /** Consent expires this long after the last authenticated response, RFC 7675 §5.1. Sending stops at once. */
  consentTimeout: 30_000,
  /** Consent that is so old is asked for every `consentUrgency` ms until it is renewed: at 30 % loss six in a row get lost. */
  consentAge: 12_000,
  consentUrgency: 1_000,
  /** Silence of the selected pair, in both answers and data, that is reported as `disconnected`: two lost consent checks. */
  disconnectedTimeout: 10_000,
  /** A backup that owes an answer for no longer than this may have been silent twice as long: it is asked every 15 s. */
  owedFor: 1_000,
  /** A pair has traffic until so long after its last data packet. Only then is its silence worth a question. */
  activeFor: 10_000,
  /** Silence before a pair with traffic is asked: eight of its usual gaps, three round trips, not less than this … */
  quietFloor: 300,
  /** … and not more. It is the heartbeat of thin traffic; Tailscale's is 3 s, libwebrtc's 2.5 s. */
  quietCeiling: 2_400,
  /** Least time for an answer before a pair is suspected; twice the round trip where that is longer. */
  answerPatience: 150,
  /** Least time between the probes of a suspected pair; one round trip where that is longer. */
  probeInterval: 100,
  /** Data of the peer's on another path casts doubt on this one, so often at most where it comes over that one alone, … */
  doubtInterval: 500,
  /** … and so often where it comes over both. */
  doubtPause: 5_000,
  /** Unanswered probes after which a pair counts as dead, where none was lost before, … */
  deadlyProbes: 4,
  /** … with so many more at a loss of 1, … */
  probesPerLoss: 28,
  /** … and no more than that: at 20 % loss each way that is wrong once in 10^6 suspicions. */
  mostProbes: 14,
  /** Between the probes of a dead pair, until it counts as disconnected. */
  deadInterval: 1_000,
  /** While a pair is suspected its data takes a second path too, this long at most. Tailscale: 6.5 s. */
  twinFor: 6_500,
  /** Controlled: how long the peer may take to nominate another pair in place of a dead one, before this side moves first. */
  wordPatience: 500,
  /**
   * Controlled by a peer like libwebrtc: how long checks say that the pair which it is to move to costs nothing. It needs 2.5 s
   * to see that the other one is silent, and before that it would go back.
   */
  courtFor: 10_000,
  /** How long a peer that has sent over several pairs may take to follow. */
  followPatience: 1_000,
  /** A faster pair takes over when it gains so much … */
  gainMs: 10,
  /** … and this part of the round trip, as in libwebrtc and pion, … */
  gainRatio: 0.15,
  /** … over averages of so many samples, … */
  gainSamples: 3,
  /** … and not sooner than this after the last move. Death and better tiers do not wait. */
  holdAfterMove: 5_000,
  /** A relayed path that turns valid so long after the last move, and has nothing but a higher priority, waits as long. */
  relaySettle: 2_000,
  /** How long a relayed pair that is valid first waits to be nominated while a direct one is asked: two of its round trips more. */
  relayPatience: 100,
  /** A pair that died is not moved back to for so long; twice as long for each time it died, up to `maxProbation`. */
  probation: 5_000,
  maxProbation: 60_000,
  /**
   * Data goes over two paths so long after the layer above has had no progress, and so long after the peer's has come
   * over another path than ours: the waits of SCTP's and TCP's retransmissions double, so that one of them falls in it.
   */
  shareFor: 2_500,
  mirrorFor: 500,
  /** One packet elsewhere is enough when there has been none here for so long. */
  mirrorAfter: 250,
  /** So many packets over another path since the last over this one are no chance: it is a hole for data when that … */
  holePackets: 8,
  /** … has lasted so long, and two round trips more; one that is suspected anyway is left at once. */
  holeAfter: 1_000,
  /** It is not moved back to for so long; twice as long each time, up to `maxHoleProbation`. Checks cannot tell. */
  holeProbation: 60_000,
  maxHoleProbation: 960_000,
  /** Checks are padded to the size of data, in bytes, where that is more than about any check has anyway, … */
  largeFloor: 500,
  /** … and up to what a frame of Ethernet has room for: larger ones travel in fragments. */
  largeCeiling: 1_472,
  /** Time for an answer to a padded check; three round trips where that is longer. */
  largePatience: 500,
  /** Between padded checks when one had no answer. */
  largeInterval: 200,
  /** Unanswered ones in a row after which large packets count as lost: at 20 % loss each way wrong once in 200,000 times. */
  deadlyLarge: 12,
  /** Before it is asked again where no other path takes large packets either. */
  largeRest: 60_000,
  /** RFC 8863 §3 PAC timer: no `failed` earlier, since a peer-reflexive candidate may still turn up. */
  pac: 39_500,
  /** How often a TCP connection that carried a valid pair is opened again when it breaks, each time it does. */
  tcpReconnects: 3,
  /**
   * Hops of an opener: past our own NAT and a carrier's, and not as far as the peer's. A fresh socket's opener has two
   * hops less, in case the peer is near.
   */
  openerTtl: 5,
  /** The opener's lead: the peer's own has left by then, if both have learnt of each other at about the same time. */
  openerLead: 50,
  /** The lead where the peer cannot know our address yet: about one round trip of signaling. */
  holdBack: 150,
  /** The same from a fresh socket, of which nobody knows when the peer hears. A check of the peer's ends every lead. */
  freshHoldBack: 600,
  /** Without a direct pair for so long: perhaps the ports are taken (fresh sockets), or not to be known (search). */
  directPatience: 3_000,
  /** How long a superseded generation is still answered after a restart: its last checks and data are in flight. */
  restartLinger: 5_000,
}

export type Timing = typeof TIMING

/** RFC 8445 §14.2: over all agents of a process no more than one new transaction per 5 ms. */
export const PACER_FLOOR = 5

export const LIMITS = {
  /** RFC 8445 §6.1.2.5 recommends 100. */
  pairs: 100,
  /** Remote candidates kept per generation: more is a mistake or an attempt to aim our checks at third parties. */
  remoteCandidates: 100,
  /**
   * Peer-reflexive ones among them on one IP address. Two NATs that give each check a new port, and let new ports in, show
   * the agents a new one with every check: they must not take the room of those that work.
   */
  reflexivePerAddress: 32,
  /** So many of them are let in beside those when they show themselves at a base that hears of no others there. */
  reflexivePerBase: 4,
  /** Peer-reflexive local candidates kept; a NAT that rebinds makes another each time, and so can a hostile peer's answers. */
  localReflexive: 50,
  /** Authenticated checks kept that arrive before the peer's parameters (RFC 8445 §7.3 last paragraph). */
  earlyChecks: 100,
  /** Local candidates trickled by one agent; a host with more interfaces than this has its worst ones left out. */
  localCandidates: 50,
  /** Relays of one agent: server addresses times interfaces. Each is an allocation on somebody's server. */
  relays: 16,
  /** After this many 487 answers a pair counts as failed: two honest agents need one. */
  conflicts: 4,
  /** Valid pairs kept warm beside the selected one. */
  backups: 3,
  /** Moves of data that are remembered, for those who want to know why. */
  switches: 32,
  /** Failed pairs that are tried again at a time while data takes a worse path. */
  upgrades: 8,
  /** Interfaces that a relay is made from, for each TURN/UDP server: one in use and one to fall back to. */
  relayInterfaces: 2,
  /** Connections to a TURN server that end within `relayProof`, one after the other, and are each worth a move (RFC 8016). */
  relayMoves: 3,
} as const

/**
 * How often failed pairs are tried again while data is relayed: the first so many attempts every so many milliseconds.
 * Both ends do, so each attempt is a hole punched from both sides. Never hourly: people notice a relay that stays.
 */
export const UPGRADE_SCHEDULE = [
  { until: 6, every: 5_000 },
  { until: 16, every: 30_000 },
  { until: Number.POSITIVE_INFINITY, every: 60_000 },
] as const

/** The same while it goes a direct way whose round trip is longer than this: perhaps there is a nearer one. Milliseconds. */
export const DIRECT_UPGRADE = { every: 60_000, goodEnough: 5 } as const

/**
 * NATs that end mappings at an age, however busy they are: some carriers' do after 50 to 75 s. Ages in milliseconds, parts
 * of the expected one.
 */
export const LIFETIME = {
  /** Deaths that are earlier or later have other causes. */
  least: 20_000,
  most: 3_600_000,
  /** Two are alike that differ by no more than this part: what measures an age is a check every few seconds. */
  likeness: 0.15,
  /** Another socket is opened, unless there is a younger path, … */
  prepare: 0.65,
  /** … data moves, … */
  leave: 0.8,
  /** … and a path that lives on at this age shows that there is no such limit. */
  refuted: 1.5,
  /** Sockets that are opened for this, all in all: two that take turns are enough. */
  sockets: 4,
} as const

/** RFC 8445 §5.1.2. */
export const HIGHEST_PRIORITY = 2 ** 31 - 1
/** Sockets that one agent opens at most to bring along a peer that stays where a path has died. */
export const RESCUES = 8

/** Sockets that replace those whose ports an unsolicited packet has taken: one at a time, so many per generation. */
export const FRESH_SOCKETS = 2

/**
 * The search for the ports of a NAT whose mappings depend on the endpoint. What it may cost at most: 256 NAT entries and
 * 768 packets where the mappings are, 1024 packets (100 kB in 10 s) from the other side, twice that for a sweep.
 */
export const SEARCH = {
  /** Sockets that ask a STUN server, so that the range of ports becomes known. */
  samples: 16,
  /** Sockets to hit: 1024 draws out of 64512 ports hit one of 256 with 98 % … */
  sockets: 256,
  /** … and in a carrier's block few do, while subscribers often have no more than 512 ports (RFC 6888 REQ-4). */
  blockSockets: 64,
  /** Largest range that is a block … */
  block: 2_048,
  /** … and that random ports are not mistaken for: 16 of them lie so close together once in 10^17. */
  widestBlock: 4_096,
  /** Largest step between consecutive ports: other hosts of the NAT take some in between. */
  step: 20,
  /** So long before it may send to the peer a search asks our own server for ports, milliseconds: one repetition's time. */
  lead: 1_000,
  /** Two NATs give each flow another port: so long the peer is waited for to foretell one of its ports, milliseconds. */
  aimPatience: 3_000,
  /** Between two packets of the many sockets, milliseconds: 200 per second. */
  openEvery: 5,
  /** After the opener, the check itself; and once more, before a NAT forgets what nobody has answered (30 s). */
  checkAfter: 100,
  repeatAfter: 15_000,
  /** Between two checks of the side that looks for them: 100 per second, 80 kbit/s. */
  probeEvery: 10,
  probes: 1_024,
  /** The same where one socket is looked for and seen ports tell where: the whole range around them. */
  sweep: 2_048,
  /** Candidates for a peer that knows nothing of searches: browsers check about ten pairs per second. */
  offers: 200,
  offersAtOnce: 25,
  offerEvery: 1_500,
  /** Milliseconds, all in all. A sweep of 2048 takes a little longer than a search. */
  duration: 20_500,
  /**
   * Packets to our own server show whether the router still copes: so many in a row without an answer are a no, or with one
   * after twice the usual time and the noise. At a loss of 5 % each way that is wrong once in 150 searches.
   */
  controlEvery: 250,
  controlPatience: 1_000,
  controlNoise: 100,
  controlFailures: 4,
  /** Between what is told to the peer during a search. */
  reportEvery: 1_000,
  /** Per peer: the second search ten minutes after the first, then one per hour. */
  pauses: [600_000, 3_600_000],
} as const

/** Ports that NATs give to flows from unprivileged ports, RFC 4787 §4.2.2. */
export const UNPRIVILEGED_PORTS = { low: 1_024, high: 65_535 } as const

/** RFC 8445 §5.1.2.2. */
export const TYPE_PREFERENCE = { host: 126, prflx: 110, srflx: 100, relay: 0 } as const

/**
 * What servers see is preferred less than what a router has mapped, or a 1:1 NAT maps: that lets peers in who have not
 * been sent to. In units of RFC 8445 §5.1.2.1's local preference; more than there are ranks of interfaces.
 */
export const SERVER_REFLEXIVE_DEMOTION = 2 ** 13

/**
 * RFC 6544 §4.2: the same over TCP, where one lost segment holds back all that follow. Below every direct UDP candidate
 * and above relays, as in libwebrtc.
 */
export const TCP_TYPE_PREFERENCE = { host: 90, prflx: 80, srflx: 70, relay: 0 } as const

/** RFC 6544 §4.2: who connects from inside gets through most NATs, so that is tried first. */
export const TCP_DIRECTION_PREFERENCE = { active: 6, passive: 4, so: 2 } as const

/** RFC 6544 §4.5: an active candidate has no port yet, and signals this one. */
export const ACTIVE_PORT = 9

/** Of relayed candidates among each other, by the way to the server: TCP and TLS hold packets back when one is lost. */
export const RELAY_PREFERENCE = { udp: 3, tcp: 2, tls: 1 } as const
