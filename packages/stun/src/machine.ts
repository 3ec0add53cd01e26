/** A transport address. A link-local IPv6 address carries its scope id in `ip`: `fe80::1%eth0` (RFC 4007 §11). */
export interface Address {
  readonly ip: string
  readonly port: number
}

/** One datagram, or one framed message of a stream, in either direction. */
export interface Packet {
  readonly protocol: 'udp' | 'tcp'
  /** The local socket. Outgoing: the same object that the driver named, so that it can be a Map key. */
  readonly local: Address
  readonly remote: Address
  /** Incoming: borrowed until the call returns. Outgoing: the receiver's to keep. */
  readonly bytes: Uint8Array
}

/**
 * The one shape of every protocol state machine in floe: no sockets, no clock, no timers of its own.
 * After any call, `poll()` until it returns `undefined`, then sleep until `timeout()`.
 * Time is in milliseconds on a clock of the caller's choice that never runs backwards.
 */
export interface Machine<Output> {
  /** Takes a packet. `false`: not mine, ask the next machine. Never throws, whatever the bytes. */
  handlePacket(now: number, packet: Packet): boolean
  /** Does what is due by `now`. Harmless when early. */
  handleTimeout(now: number): void
  /** When `handleTimeout` wants to be called next, on the same clock; `Infinity` when idle. */
  timeout(): number
  /** The next output, or `undefined` when there is none left. */
  poll(): Output | undefined
}
