import { codeOf } from './messages.ts'
import type { Session } from './session.ts'
import { candidateLines, type Pair } from './stats.ts'

/** Everything that helps to find out why a connection is what it is. No secret, no message, no file. */
export function diagnose(session: Session | undefined, pairs: readonly Pair[]): object {
  const pc = session?.peerConnection
  return {
    page: { time: new Date().toISOString(), userAgent: navigator.userAgent, online: navigator.onLine },
    session: session && {
      room: session.options.room,
      hasSecret: session.options.secret !== undefined,
      stun: session.options.stun ?? null,
      relayOnly: session.options.relayOnly ?? false,
      offered: session.offered,
      phase: session.phase,
      peer: session.peer && { agent: session.peer.agent, polite: session.peer.polite, left: session.peer.left ?? null },
      steps: Object.fromEntries(session.steps),
      error: session.error
        ? { code: codeOf(session.error), message: String(session.error), explanation: session.explanation }
        : null,
    },
    states: pc && {
      connection: pc.connectionState,
      iceConnection: pc.iceConnectionState,
      iceGathering: pc.iceGatheringState,
      signaling: pc.signalingState,
    },
    candidates: pc && {
      local: candidateLines(pc.localDescription?.sdp),
      remote: candidateLines(pc.remoteDescription?.sdp),
    },
    pairs,
    journal: session && { dropped: session.journal.dropped, entries: session.journal.entries },
  }
}
