import { parseCandidate } from '@floe/ice'
import { RTCCertificate } from './certificate.ts'
import { checkRemote, checkSyntax, isSameSession, offerLargePackets, takesLargePackets } from './sdp.ts'
import type { SeamPeerConnection } from './seam.ts'
import { RTCSessionDescription } from './session-description.ts'
import { expectState, implicitType } from './signaling-state.ts'
import { dtlsInternals, peerConnectionInternals } from './werift-internals.ts'

/** RFC 8839 §5.1, whatever the transport and the type: those that we do not know are to be ignored, not refused. */
const CANDIDATE_LINE = /^(a=)?candidate:\S+ \d+ \S+ \d+ \S+ \d+ typ \S+/

/** A description as a caller gave it. */
export interface GivenDescription {
  /** undefined: what the signaling state asks for. */
  readonly type: RTCSdpType | undefined
  /** Empty: the one that was created last. */
  readonly sdp: string
}

/** A candidate as a caller gave it; an empty line ends them. */
export interface GivenCandidate {
  readonly candidate: string
  readonly sdpMid: string | null
  readonly sdpMLineIndex: number | null
  readonly usernameFragment: string | null
}

/**
 * Offers and answers, webrtc-pc §4.4.1.5: what is refused and how, over werift, which does the rest. To be called one at
 * a time. Everything that is refused is refused before anything has changed.
 */
export class Descriptions {
  readonly #werift: SeamPeerConnection
  readonly #certificate: Promise<RTCCertificate>
  #lastOffer = ''
  #lastAnswer = ''
  /** An ICE restart is due; has been offered, and waits for its answer. */
  #restart: 'none' | 'wanted' | 'offered' = 'none'

  constructor(werift: SeamPeerConnection, certificate: Promise<RTCCertificate>) {
    this.#werift = werift
    this.#certificate = certificate
  }

  get currentLocal(): RTCSessionDescription | null {
    return this.#describeOwn(this.#werift.describeLocal('current'))
  }
  get pendingLocal(): RTCSessionDescription | null {
    return this.#describeOwn(this.#werift.describeLocal('pending'))
  }
  get currentRemote(): RTCSessionDescription | null {
    return describe(this.#werift.currentRemoteDescription)
  }
  get pendingRemote(): RTCSessionDescription | null {
    return describe(this.#werift.pendingRemoteDescription)
  }
  /** An ICE restart waits to be offered. */
  get wantsRestart(): boolean {
    return this.#restart === 'wanted'
  }
  /** The two sides have agreed on data channels. */
  get hasDataSection(): boolean {
    const { currentLocalDescription: ours, currentRemoteDescription: theirs } = peerConnectionInternals(
      this.#werift,
    ).sdpManager
    return [ours, theirs].every((side) => side?.media.some(({ kind, port }) => kind === 'application' && port !== 0))
  }

  /** Nothing happens before there are credentials to replace. */
  wantRestart(): void {
    if (!this.#werift.localDescription) return
    this.#restart = 'wanted'
    this.#werift.needRestart = true
  }

  async createOffer(iceRestart: boolean): Promise<RTCSessionDescriptionInit> {
    if (iceRestart) this.wantRestart()
    await this.#installCertificate()
    const offer = this.#describeOwn(await orOperationError(this.#werift.createOffer()))!.toJSON()
    this.#lastOffer = offer.sdp
    return offer
  }

  async createAnswer(): Promise<RTCSessionDescriptionInit> {
    expectState('local', 'answer', this.#werift.signalingState)
    await this.#installCertificate()
    const answer = this.#describeOwn(await orOperationError(this.#werift.createAnswer()))!.toJSON()
    this.#lastAnswer = answer.sdp
    return answer
  }

  async setLocal(given: GivenDescription): Promise<void> {
    const { signalingState } = this.#werift
    const type = given.type ?? implicitType(signalingState)
    expectState('local', type, signalingState)
    if (type === 'rollback') return this.#rollBack()
    const sdp = await this.#localSdp(type, given.sdp)
    this.#werift.acceptEditedDescriptions()
    await orOperationError(this.#werift.setLocalDescription({ type, sdp }))
    if (type === 'offer' && this.#restart === 'wanted') this.#restart = 'offered'
    // An answer carries the credentials of a restart that was offered in vain.
    if (type === 'answer') this.#settle()
  }

  async setRemote({ type, sdp }: { type: RTCSdpType; sdp: string }): Promise<void> {
    expectState('remote', type, this.#werift.signalingState)
    if (type === 'rollback') return this.#rollBack()
    checkSyntax(sdp)
    checkRemote(sdp)
    this.#werift.remoteLines.remember(sdp)
    await orOperationError(this.#werift.setRemoteDescription({ type, sdp }))
    this.#werift.peerTakesLargePackets = takesLargePackets(sdp)
    if (type === 'offer') this.#takeOfferedRole()
    if (type === 'answer') this.#settle()
  }

  async addCandidate(given: GivenCandidate): Promise<void> {
    if (!this.#werift.remoteDescription) {
      throw new DOMException('Candidates can be added once the remote description is set', 'InvalidStateError')
    }
    if (given.candidate && !parseCandidate(given.candidate)) {
      if (CANDIDATE_LINE.test(given.candidate)) return
      throw new DOMException(`"${given.candidate}" is no candidate`, 'OperationError')
    }
    this.#werift.remoteLines.remember(given.candidate)
    await orOperationError(this.#werift.addIceCandidate(withoutNulls(given)))
  }

  /** Those that are not known change nothing. */
  async removeCandidates(gone: readonly { readonly candidate: string }[]): Promise<void> {
    for (const { connection } of this.#werift.transports) connection.removeRemoteCandidates(gone)
  }

  /** webrtc-pc §4.4.2, setLocalDescription(), and what browsers let pass beyond it. */
  async #localSdp(type: RTCSdpType, given: string): Promise<string> {
    await this.#installCertificate()
    const last = type === 'offer' ? this.#lastOffer : this.#lastAnswer
    if (given) {
      if (isSameSession(last, given)) return given
      const advice = 'candidates, names and credentials are not to be edited'
      throw new DOMException(`This is not the ${type} that was created last: ${advice}`, 'InvalidModificationError')
    }
    // Made anew unless it is still what would be made.
    const { sdp } = type === 'offer' ? await this.createOffer(false) : await this.createAnswer()
    return sdp!
  }

  async #rollBack(): Promise<void> {
    const rollback = { type: 'rollback' } as never
    if (this.#werift.signalingState === 'have-local-offer') await this.#werift.setLocalDescription(rollback)
    else await this.#werift.setRemoteDescription(rollback)
    if (this.#restart === 'offered') this.wantRestart()
  }

  /** The answer is in place: webrtc-pc forgets what was created before it. */
  #settle(): void {
    this.#lastOffer = this.#lastAnswer = ''
    if (this.#restart === 'offered') this.#restart = 'none'
  }

  /** RFC 8842 §5.3: a peer that insists on starting DTLS, or on not doing so, is answered with the other role. */
  #takeOfferedRole(): void {
    for (const { dtls } of this.#werift.transports) {
      const offered = dtlsInternals(dtls).remoteParameters?.role
      if (dtls.role !== 'auto' || dtls.state !== 'new' || !offered || offered === 'auto') continue
      dtls.role = offered === 'client' ? 'server' : 'client'
    }
  }

  /** werift's text, with what werift does not know: extensions of candidates, and packets larger than a network's. */
  #describeOwn(description: { type: string; sdp: string } | undefined): RTCSessionDescription | null {
    if (!description) return null
    const sdp = description.sdp.replace(/^a=(candidate:[^\r\n]*)/gm, (_, line) => `a=${this.#werift.localLine(line)}`)
    return describe({ ...description, sdp: offerLargePackets(sdp) })
  }

  async #installCertificate(): Promise<void> {
    const { secureManager } = peerConnectionInternals(this.#werift)
    secureManager.certificate ??= RTCCertificate.unwrap(await this.#certificate)
  }
}

function describe(description: { type: string; sdp: string } | null | undefined): RTCSessionDescription | null {
  return description ? new RTCSessionDescription(description as RTCSessionDescriptionInit) : null
}

/** werift wants members to be missing, where Web IDL has null. */
function withoutNulls(given: GivenCandidate): { candidate: string; sdpMid?: string; sdpMLineIndex?: number } {
  const { candidate, sdpMid, sdpMLineIndex, usernameFragment } = given
  return {
    candidate,
    ...(sdpMid !== null && { sdpMid }),
    ...(sdpMLineIndex !== null && { sdpMLineIndex }),
    ...(usernameFragment !== null && { usernameFragment }),
  }
}

/** webrtc-pc §4.4.1.5: whatever else goes wrong is an OperationError. */
async function orOperationError<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work
  } catch (error) {
    if (error instanceof DOMException) throw error
    throw new DOMException(
      `The description or candidate could not be made or applied: ${(error as Error).message}`,
      'OperationError',
    )
  }
}
