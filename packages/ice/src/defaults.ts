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
  /** Last wait, in initial RTOs, RFC 8489 §6.2.1. */
  Rm: 16,
  /** RTO towards a STUN server: as the checks', and libwebrtc's. */
  serverRto: 250,
  /** Sends to a STUN server. With serverRto it is given up after 250·(1+2+4+8+Rm) ms unless serverDeadline is earlier. */
  serverRc: 5,
  /** A server that is silent this long delays the end of candidates no further. Host candidates never wait for it. */
  serverDeadline: 5_000,
  /** Keeps a server-reflexive mapping open until a pair is selected. RFC 8445 §5.1.1.4; under every NAT's timeout. */
  mappingKeepalive: 15_000,
  /** Mean consent interval, randomised ±20 %, RFC 7675 §5.1. It is also the keepalive (RFC 8445 §11 asks ≤ 15 s). */
  consentInterval: 5_000,
  /** Consent expires this long after the last authenticated response, RFC 7675 §5.1. Sending stops at once. */
  consentTimeout: 30_000,
  /** Silence of the selected pair, in both answers and data, that is reported as `disconnected`: two lost consent checks. */
  disconnectedTimeout: 10_000,
  /** RFC 8863 §3 PAC timer: no `failed` earlier, since a peer-reflexive candidate may still turn up. */
  pac: 39_500,
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
  /** Authenticated checks kept that arrive before the peer's parameters (RFC 8445 §7.3 last paragraph). */
  earlyChecks: 100,
  /** Local candidates trickled by one agent; a host with more interfaces than this has its worst ones left out. */
  localCandidates: 50,
} as const

/** RFC 8445 §5.1.2.2. */
export const TYPE_PREFERENCE = { host: 126, prflx: 110, srflx: 100, relay: 0 } as const
