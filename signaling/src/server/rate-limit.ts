/** How many packets a connection, and all of an address, may send; and what becomes of one that does not stop. */
import { type ErrorBody, errorBody } from '../protocol.ts'
import type { Addresses } from './addresses.ts'
import type { SignalingLimits } from './limits.ts'
import type { FloeSocket } from './link.ts'
import { PATIENCE, TokenBucket } from './token-bucket.ts'

export interface RateLimits {
  readonly limits: Pick<SignalingLimits, 'messagesPerSecond' | 'messageBurst' | 'messagesPerSecondPerAddress'>
  readonly addresses: Addresses
  /** A packet was refused, the first one of its connection or a later one. */
  onrefused(whose: 'address' | 'connection', first: boolean): void
  /** The connection is not worth keeping. Called once; what it sends from then on is not looked at. */
  onflood(error: ErrorBody): void
}

/** Refuses what is too much, before anything else sees it. */
export function limitRate(
  socket: FloeSocket,
  address: string,
  { limits, addresses, onrefused, onflood }: RateLimits,
): void {
  const { messagesPerSecond, messageBurst } = limits
  const bucket = new TokenBucket(messagesPerSecond, messageBurst, performance.now())
  let refused = false
  let ended = false
  socket.use((packet: unknown[], next) => {
    if (ended) return
    // Frames have a limit of their own, once there is somebody to take them.
    if (packet[0] === 'relay' && socket.listenerCount('relay') > 0) return next()
    const now = performance.now()
    const ofSocket = bucket.take(now)
    const ofAddress = addresses.message(address, now)
    if (ofSocket && ofAddress) return next()
    const whose = ofSocket ? 'address' : 'connection'
    onrefused(whose, !refused)
    refused = true
    const rate = ofSocket ? limits.messagesPerSecondPerAddress : messagesPerSecond
    const error = errorBody('ERR_SIGNALING_RATE', `More than ${rate} messages per second of this ${whose}.`)
    const acknowledge = packet.at(-1)
    ended = bucket.debt > PATIENCE * messageBurst || addresses.isFlooding(address, now)
    if (ended) onflood(error)
    else if (typeof acknowledge === 'function') acknowledge(error)
  })
}
