/** A path that is back within this time needs no restart: webrtc-pc calls 'disconnected' a transient state. */
const DISCONNECTED_GRACE_MS = 4000
/** The impolite side restarts; the polite one asks, by an offer of its own, when nothing has come of it. */
const POLITE_HEAD_START_MS = 2000

export interface RecoveryHandlers {
  /** Data flows, or has ceased to. */
  readonly onstate: (state: 'open' | 'interrupted') => void
  /** No way back within the time given. */
  readonly onlost: () => void
}

/**
 * Watches `connectionState` and restarts ICE: at once on 'failed', after 4 s on 'disconnected', until `timeout` ms have
 * passed without a connection.
 */
export class Recovery {
  readonly #peerConnection: RTCPeerConnection
  readonly #polite: boolean
  readonly #timeout: number
  readonly #handlers: RecoveryHandlers
  #restartTimer: ReturnType<typeof setTimeout> | undefined
  #lostTimer: ReturnType<typeof setTimeout> | undefined

  constructor(peerConnection: RTCPeerConnection, polite: boolean, timeout: number, handlers: RecoveryHandlers) {
    this.#peerConnection = peerConnection
    this.#polite = polite
    this.#timeout = timeout
    this.#handlers = handlers
    peerConnection.addEventListener('connectionstatechange', this.#onStateChange)
  }

  stop(): void {
    this.#peerConnection.removeEventListener('connectionstatechange', this.#onStateChange)
    this.#settle()
  }

  readonly #onStateChange = (): void => {
    const state = this.#peerConnection.connectionState
    if (state === 'connected') {
      this.#settle()
      this.#handlers.onstate('open')
    } else if (state === 'disconnected' || state === 'failed') {
      this.#restartAfter(state === 'failed' ? 0 : DISCONNECTED_GRACE_MS)
      this.#lostTimer ??= setTimeout(this.#handlers.onlost, this.#timeout)
      this.#handlers.onstate('interrupted')
    }
  }

  #restartAfter(delay: number): void {
    clearTimeout(this.#restartTimer)
    const headStart = this.#polite ? POLITE_HEAD_START_MS : 0
    this.#restartTimer = setTimeout(() => this.#peerConnection.restartIce(), delay + headStart)
  }

  #settle(): void {
    clearTimeout(this.#restartTimer)
    clearTimeout(this.#lostTimer)
    this.#lostTimer = undefined
  }
}
