/** A path that is back within this time needs no restart: webrtc-pc calls 'disconnected' a transient state. */
const DISCONNECTED_GRACE_MS = 4000
/** The impolite side restarts; the polite one asks, by an offer of its own, when nothing has come of it. */
const POLITE_HEAD_START_MS = 2000

/** Between attempts, while messages go another way: soon at first, and never more often than somebody would try by hand. */
const RESTART_BACKOFF_MS = { first: 1000, longest: 10_000 } as const
/** Of a wait, by which it is longer at random: peers that lost one network together do not come back in step. */
const JITTER = 0.25

/**
 * Watches `connectionState` and restarts ICE: at once on 'failed' and when no pair is left, after a second when all that
 * is left has yet to answer, after 4 s on 'disconnected'; and again, ever more seldom, as long as there is no path and nobody
 * stops it. While an offer is under way there is no other: it arrives when signaling does. `onstate`: data flows, or has
 * ceased to.
 */
export class Recovery {
  readonly #peerConnection: RTCPeerConnection
  readonly #polite: boolean
  readonly #onstate: (state: 'open' | 'interrupted') => void
  readonly #random: () => number
  #backoff = 0
  /** Data has flowed, and no attempt to have it flow again has begun. */
  #hadPath = false
  #negotiatedAt = Number.NEGATIVE_INFINITY
  #restartTimer: ReturnType<typeof setTimeout> | undefined

  constructor(
    peerConnection: RTCPeerConnection,
    polite: boolean,
    onstate: (state: 'open' | 'interrupted') => void,
    random: () => number = Math.random,
  ) {
    this.#random = random
    this.#peerConnection = peerConnection
    this.#polite = polite
    this.#onstate = onstate
    peerConnection.addEventListener('connectionstatechange', this.#onStateChange)
    peerConnection.addEventListener('signalingstatechange', this.#onSignalingStateChange)
  }

  stop(): void {
    this.#peerConnection.removeEventListener('connectionstatechange', this.#onStateChange)
    this.#peerConnection.removeEventListener('signalingstatechange', this.#onSignalingStateChange)
    clearTimeout(this.#restartTimer)
  }

  readonly #onStateChange = (): void => {
    const state = this.#peerConnection.connectionState
    if (state === 'connected') {
      clearTimeout(this.#restartTimer)
      this.#backoff = 0
      this.#hadPath = true
      this.#negotiatedAt = Number.NEGATIVE_INFINITY // it has come to something
      this.#onstate('open')
    } else if (state === 'disconnected' || state === 'failed') {
      this.#restartAfter(state === 'failed' ? this.#backoff : this.#patience)
      if (state === 'failed') this.#hadPath = false
      this.#onstate('interrupted')
    } else if (state === 'connecting' && this.#hadPath) {
      // Every path has gone at once, and 'failed' waits for others (RFC 8863); or the peer restarts, which takes less.
      this.#restartAfter(this.#isNegotiating ? RESTART_BACKOFF_MS.longest : RESTART_BACKOFF_MS.first)
      if (!this.#isNegotiating) this.#onstate('interrupted')
    } else clearTimeout(this.#restartTimer) // an attempt is under way, and ends in one of those
  }

  /** What has just been negotiated is an attempt of its own, whoever made it. */
  readonly #onSignalingStateChange = (): void => {
    const { signalingState, connectionState } = this.#peerConnection
    if (signalingState !== 'stable') return
    this.#negotiatedAt = performance.now()
    if (connectionState !== 'connected') this.#hadPath = false
    if (connectionState === 'connecting') clearTimeout(this.#restartTimer)
  }

  /** Of 'disconnected', in milliseconds. */
  get #patience(): number {
    if (!this.#hadPath || this.#isNegotiating || this.#hasPair) return DISCONNECTED_GRACE_MS
    // Who is in no network at all has nothing to offer, and is back sooner without a restart when it is in one again.
    const canOffer = this.#peerConnection.localDescription?.sdp.includes('a=candidate:')
    return canOffer ? this.#backoff : RESTART_BACKOFF_MS.longest
  }

  get #isNegotiating(): boolean {
    const isRecent = performance.now() < this.#negotiatedAt + RESTART_BACKOFF_MS.longest
    return isRecent || this.#peerConnection.signalingState !== 'stable'
  }

  /** Where nobody can tell there is one that may come back. */
  get #hasPair(): boolean {
    const ice: Partial<RTCIceTransport> | undefined = this.#peerConnection.sctp?.transport.iceTransport
    return ice?.getSelectedCandidatePair?.() !== null
  }

  #restartAfter(delay: number): void {
    clearTimeout(this.#restartTimer)
    const headStart = this.#polite ? POLITE_HEAD_START_MS : 0
    const wait = (delay + headStart) * (1 + JITTER * this.#random())
    this.#restartTimer = setTimeout(() => this.#restart(), wait)
  }

  #restart(): void {
    this.#backoff = Math.min(Math.max(2 * this.#backoff, RESTART_BACKOFF_MS.first), RESTART_BACKOFF_MS.longest)
    this.#hadPath = false
    this.#restartAfter(RESTART_BACKOFF_MS.longest) // for when nothing comes of this one, not even another state
    if (this.#peerConnection.signalingState === 'stable') this.#peerConnection.restartIce()
  }
}
