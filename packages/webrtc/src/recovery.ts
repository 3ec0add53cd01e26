/** A path that is back within this time needs no restart: webrtc-pc calls 'disconnected' a transient state. */
const DISCONNECTED_GRACE_MS = 4000
/** The impolite side restarts; the polite one asks, by an offer of its own, when nothing has come of it. */
const POLITE_HEAD_START_MS = 2000

/** Between attempts, while messages go another way: soon at first, and never more often than somebody would try by hand. */
const RESTART_BACKOFF_MS = { first: 1000, longest: 10_000 } as const
/** Of a wait, by which it is longer at random: peers that lost one network together do not come back in step. */
const JITTER = 0.25

/**
 * Watches `connectionState` and restarts ICE: at once on 'failed', after 4 s on 'disconnected', and again, ever more seldom,
 * as long as there is no path and nobody stops it. While an offer is under way there is no other: it arrives when signaling
 * does. `onstate`: data flows, or has ceased to.
 */
export class Recovery {
  readonly #peerConnection: RTCPeerConnection
  readonly #polite: boolean
  readonly #onstate: (state: 'open' | 'interrupted') => void
  readonly #random: () => number
  #backoff = 0
  #wasConnected = false
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
  }

  stop(): void {
    this.#peerConnection.removeEventListener('connectionstatechange', this.#onStateChange)
    clearTimeout(this.#restartTimer)
  }

  readonly #onStateChange = (): void => {
    const state = this.#peerConnection.connectionState
    const wasConnected = this.#wasConnected
    this.#wasConnected = state === 'connected'
    if (state === 'connected') {
      clearTimeout(this.#restartTimer)
      this.#backoff = 0
      this.#onstate('open')
    } else if (state === 'disconnected' || state === 'failed') {
      this.#restartAfter(state === 'failed' ? this.#backoff : DISCONNECTED_GRACE_MS)
      this.#onstate('interrupted')
    } else if (state === 'connecting' && wasConnected) {
      // Every path has gone at once, and 'failed' waits for others (RFC 8863); or the peer restarts, which takes less.
      this.#restartAfter(RESTART_BACKOFF_MS.longest)
    } else clearTimeout(this.#restartTimer) // an attempt is under way, and ends in one of those
  }

  #restartAfter(delay: number): void {
    clearTimeout(this.#restartTimer)
    const headStart = this.#polite ? POLITE_HEAD_START_MS : 0
    const wait = (delay + headStart) * (1 + JITTER * this.#random())
    this.#restartTimer = setTimeout(() => this.#restart(), wait)
  }

  #restart(): void {
    this.#backoff = Math.min(Math.max(2 * this.#backoff, RESTART_BACKOFF_MS.first), RESTART_BACKOFF_MS.longest)
    this.#restartAfter(RESTART_BACKOFF_MS.longest) // for when nothing comes of this one, not even another state
    if (this.#peerConnection.signalingState === 'stable') this.#peerConnection.restartIce()
  }
}
