import { candidateFromIce, RTCIceGatherer, RTCIceTransport } from 'werift'
import type { IceConnection } from './ice-connection.ts'

/**
 * werift's gatherer builds its own ICE agent; this one swaps it for ours before anything subscribes. The agent that is
 * thrown away has opened no socket.
 */
export class IceGatherer extends RTCIceGatherer {
  constructor(connection: IceConnection) {
    super()
    Object.defineProperty(this, 'connection', { value: connection, enumerable: true })
    connection.onIceCandidate.subscribe((candidate) => this.onIceCandidate(candidateFromIce(candidate)))
    connection.gathered.subscribe(() => this.setGatheringState('complete'))
  }

  /**
   * Returns at once: candidates trickle (RFC 8838). werift would wait for the last STUN server, and hold back the
   * answer meanwhile. The end of candidates is not told to werift either, since it would file the description of an
   * old offer as pending once more.
   */
  override async gather(): Promise<void> {
    if (this.gatheringState !== 'new') return
    this.setGatheringState('gathering')
    await this.connection.gatherCandidates()
  }
}

/** werift's ICE transport, which no longer asks for a negotiation in the middle of the one that restarts it. */
export class IceTransportAdapter extends RTCIceTransport {
  constructor(gatherer: IceGatherer) {
    super(gatherer)
    this.onNegotiationNeeded.execute = () => {}
  }
}
