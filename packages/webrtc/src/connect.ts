import { Attempt } from './attempt.ts'
import type { PeerConnectionConfiguration } from './configuration.ts'
import type { ConnectOptions } from './connect-options.ts'
import type { Connection } from './connection.ts'
import { aborted, ConnectError } from './errors.ts'
import { checkSecret } from './introduction.ts'
import type { Signaling } from './signaling.ts'

/**
 * Connects to the peer at the other end of a signaling channel; the same call in a browser and in Node, and one of the
 * two ends has to be polite. Resolves when messages can flow: over the relay of the signaling channel, if it has one, one
 * message each way after the call; they move to the direct path when ICE has found it. Rejects with {@link ConnectError}.
 */
export type Connect = (signaling: Signaling, options?: ConnectOptions) => Promise<Connection>

/** connect() over the RTCPeerConnection and the WebCrypto of this world. */
export function createConnect(
  Peer: new (configuration: PeerConnectionConfiguration) => RTCPeerConnection,
  subtle: SubtleCrypto | undefined,
): Connect {
  return async (signaling, options = {}) => {
    const { configuration, signal, secret } = options
    checkSecret(secret, subtle)
    checkTimeout(options.timeout)
    if (signal?.aborted) throw aborted(signal)
    const polite = options.polite ?? signaling.polite
    if (polite === undefined) {
      const advice = 'Say `polite: true` at one end and `polite: false` at the other'
      throw new ConnectError('ERR_CONNECT_SIGNALING', `Nobody knows who makes the first offer. ${advice}`)
    }
    const named = options.iceServers ?? configuration?.iceServers
    const iceServers = named ?? offeredServers(signaling)
    const peerConnection = new Peer({ ...configuration, ...(iceServers ? { iceServers } : {}) })
    try {
      options.onpeerconnection?.(peerConnection)
      if (signal?.aborted) throw aborted(signal)
      const attempt = new Attempt(peerConnection, signaling, polite, subtle, options)
      if (named === undefined) followOffers(peerConnection, signaling, attempt)
      return attempt.opened
    } catch (error) {
      // The caller's own: nobody else would close it.
      peerConnection.close()
      throw error
    }
  }
}

function checkTimeout(timeout: number | undefined): void {
  if (timeout === undefined || (timeout > 0 && timeout <= LONGEST_TIMEOUT)) return
  throw new ConnectError('ERR_CONNECT_ARGUMENT', `timeout is ${timeout}: give 1 to ${LONGEST_TIMEOUT} ms, or none`)
}

/** More is at once for setTimeout, in ms. */
const LONGEST_TIMEOUT = 2 ** 31 - 1

function offeredServers({ iceServers }: Signaling): RTCIceServer[] | undefined {
  return iceServers && [...iceServers]
}

/** Servers that the signaling offers later are taken into the configuration: they are asked at the next ICE restart. */
function followOffers(peerConnection: RTCPeerConnection, signaling: Signaling, attempt: Attempt): void {
  if (signaling.iceServers === undefined || attempt.isOver) return
  signaling.oniceserverschange = () => {
    const iceServers = offeredServers(signaling) ?? []
    try {
      peerConnection.setConfiguration({ ...peerConnection.getConfiguration(), iceServers })
    } catch {} // What this RTCPeerConnection does not take is no reason to give up a path that works.
  }
  void attempt.ended.then(() => {
    signaling.oniceserverschange = null
  })
}
