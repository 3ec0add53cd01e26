/** Which descriptions fit which signaling state: webrtc-pc §4.3.1 and §4.4.1.5, JSEP (RFC 9429) §3.2. Pure functions. */

const LOCAL: Record<RTCSdpType, readonly RTCSignalingState[]> = {
  offer: ['stable', 'have-local-offer'],
  answer: ['have-remote-offer', 'have-local-pranswer'],
  pranswer: ['have-remote-offer', 'have-local-pranswer'],
  rollback: ['have-local-offer', 'have-remote-offer'],
}

const REMOTE: Record<RTCSdpType, readonly RTCSignalingState[]> = {
  // An offer that collides with ours rolls ours back.
  offer: ['stable', 'have-remote-offer', 'have-local-offer'],
  answer: ['have-local-offer', 'have-remote-pranswer'],
  pranswer: ['have-local-offer', 'have-remote-pranswer'],
  rollback: ['have-local-offer', 'have-remote-offer'],
}

/** Throws InvalidStateError. */
export function expectState(source: 'local' | 'remote', type: RTCSdpType, state: RTCSignalingState): void {
  if ((source === 'local' ? LOCAL : REMOTE)[type].includes(state)) return
  throw new DOMException(`A ${source} ${type} does not fit the signaling state ${state}`, 'InvalidStateError')
}

/** What `setLocalDescription()` makes when it is not told. */
export function implicitType(state: RTCSignalingState): 'offer' | 'answer' {
  return state === 'have-remote-offer' || state === 'have-local-pranswer' ? 'answer' : 'offer'
}
