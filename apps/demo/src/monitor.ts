import { explainRelay } from '@floe/webrtc'
import { candidateLines, type Pair, readPairs } from './stats.ts'

/** Milliseconds between two looks at the statistics. */
const PERIOD = 1000

/** Looks at a peer connection's candidate pairs once a second, and at once when it takes another path. */
export class Monitor {
  readonly #onpairs: (pairs: readonly Pair[]) => void
  #stop: () => void = () => {}

  constructor(onpairs: (pairs: readonly Pair[]) => void) {
    this.#onpairs = onpairs
  }

  /** Watches this peer connection and no longer the previous one. */
  watch(pc: RTCPeerConnection): void {
    this.#stop()
    const look = async () => {
      const report = await pc.getStats()
      const [local, remote] = [pc.localDescription, pc.remoteDescription].map((d) => candidateLines(d?.sdp))
      const lines = { local: local ?? [], remote: remote ?? [] }
      if (timer === undefined) return
      const pairs = readPairs(report as unknown as ReadonlyMap<string, unknown>, lines)
      const whyRelayed = explainRelay(report)
      this.#onpairs(pairs.map((pair) => (pair.selected && whyRelayed ? { ...pair, whyRelayed } : pair)))
    }
    let timer: ReturnType<typeof setInterval> | undefined = setInterval(look, PERIOD)
    const lookSoon = () => void look()
    pc.addEventListener('iceconnectionstatechange', () => {
      // The transport exists from the first description on; setting the handler twice does no harm.
      if (pc.sctp) pc.sctp.transport.iceTransport.onselectedcandidatepairchange = lookSoon
      lookSoon()
    })
    this.#stop = () => {
      clearInterval(timer)
      timer = undefined
    }
  }

  stop(): void {
    this.#stop()
  }
}
