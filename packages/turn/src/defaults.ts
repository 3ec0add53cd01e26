/** Every constant of an allocation, with its RFC section and, where ours differs, why. Times in milliseconds. */
export const TIMING = {
  /** Asked for in Allocate and Refresh; RFC 8656 §3.2 has it as the default. */
  lifetime: 600_000,
  /** A server that grants more is asked again this soon all the same: RFC 8656 §7.2 recommends servers an hour at most. */
  longestLifetime: 3_600_000,
  /** Refresh this long before the end, or at half the lifetime when that is later: room for three lost transactions. */
  refreshMargin: 60_000,
  /** No more than one Refresh in this time, whatever lifetime the server grants. */
  shortestRefresh: 1_000,
  /** A request that the server could not serve just now (5xx) is tried again after this, while what it renews lives. */
  retry: 5_000,
  /** RFC 8656 §9: 300 s, and the server may not change it. */
  permissionLifetime: 300_000,
  /** A minute before, like libwebrtc and libnice. */
  permissionRefresh: 240_000,
  /** Permissions that are due within this time are renewed together: one request in place of several. */
  permissionWindow: 30_000,
  /** RFC 8656 §12: 600 s. */
  channelLifetime: 600_000,
  /** A minute before, like libnice. */
  channelRefresh: 540_000,
  /** RFC 8656 §12: an expired number stays with its peer, and the peer with its number, for five minutes. */
  channelCooldown: 300_000,
  /**
   * First retransmission of a request while nothing is known about the path (RFC 8489 §6.2.1 says 500): libwebrtc's, and
   * that of our STUN requests. Afterwards the measured round-trip time counts.
   */
  rto: 250,
  /** Sends per transaction, RFC 8489 §6.2.1. With `rto` and `Rm` a silent server is given up after 19.75 s. */
  Rc: 7,
  /** Last wait, in RTOs, RFC 8489 §6.2.1. */
  Rm: 16,
  /** How long `close()` waits for the server's word. Without it the allocation ends by itself, when its lifetime does. */
  release: 2_000,
}

export type AllocationTiming = typeof TIMING

export const LIMITS = {
  /** 438 answers to one request: a one-time nonce costs one, a race for it a few, and more is a server that can't be had. */
  staleNonces: 6,
  /** 401 answers to one signed request, each with something new to sign: "one more try". */
  refusals: 2,
  /** Requests under way at once. */
  requests: 10,
  /** Peers named in one CreatePermission: well inside a datagram that no path fragments. */
  peersPerRequest: 10,
  /** As many as an agent keeps remote candidates. */
  permissions: 100,
  /** Addresses remembered behind one permitted IP. */
  peersPerPermission: 64,
  /** Fresh local ports that the owner should try after 437 (libwebrtc's number). */
  mismatches: 3,
  /** ALTERNATE-SERVER hops in a row. */
  redirects: 5,
  /** USERNAME in bytes, RFC 8489 §14.3. */
  username: 508,
  /** REALM and NONCE in bytes, RFC 8489 §14.9 and §14.10: we would have to send back what the server sent. */
  challengeText: 763,
  /** Entries of PASSWORD-ALGORITHMS, and bytes of their parameters, that we would send back. */
  passwordAlgorithms: 16,
  algorithmParameters: 64,
  /** MOBILITY-TICKET in bytes that we would send back (coturn's has 8). */
  ticket: 1_024,
  /** Bytes per datagram to a peer: what fits a Send indication that fits a datagram (RFC 768, RFC 8656 §11). */
  data: 65_400,
} as const
