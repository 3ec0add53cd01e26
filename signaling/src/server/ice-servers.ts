/** The ICE servers that members of a room are told, and when they have to be told others. */
import * as v from 'valibot'
import { describeIssues, type IceServer, IceServersSchema, signalingError } from '../protocol.ts'

/** W3C RTCIceServer. `expires`, in ms since 1970: when its credentials do, as `issueTurnCredentials` says it. */
export interface IceServerOffer {
  readonly urls: string | readonly string[]
  readonly username?: string
  readonly credential?: string
  readonly expires?: number
}

/** One list for everybody, or the list for this peer (`Room.id`) of this room, asked for whenever it needs a new one. */
export type IceServersOption =
  | readonly Omit<IceServerOffer, 'expires'>[]
  | ((room: string, peer: string) => readonly IceServerOffer[])

export interface IceServerSupply {
  /** `undefined`: there are none to be had now, those that were given before stay. */
  readonly iceServers: IceServer[] | undefined
  /** Milliseconds until to ask again; `Infinity`: no need to. */
  readonly renewIn: number
}

/** New ones come in the middle of the life of credentials: a peer that is offline just then still has good ones. */
const RENEW_AT = 0.5

/** Of `renewIn`, in ms: a list that has expired already must not keep the server busy; what a timer can hold. */
const RENEWAL = { soonest: 1_000, latest: 2_147_483_647 } as const

/** After a failure of the caller's function, in ms. */
const RETRY_AFTER = 10_000

/**
 * The source of ICE servers for `Rooms`. A function that throws, or gives what is no list of ICE servers, costs nobody the
 * room: the process is warned, and the peer goes without until the next attempt.
 * @throws {SignalingError} `ERR_SIGNALING_ARGUMENT` when a fixed list is none
 */
export function iceServerSource(option: IceServersOption = []): (room: string, peer: string) => IceServerSupply {
  if (typeof option !== 'function') {
    const iceServers = checked(option)
    return () => ({ iceServers, renewIn: Number.POSITIVE_INFINITY })
  }
  let failing = false
  return (room, peer) => {
    try {
      const offers = option(room, peer)
      const supply = { iceServers: checked(offers), renewIn: renewalOf(offers) }
      failing = false
      return supply
    } catch (error) {
      if (!failing) process.emitWarning(error instanceof Error ? error : String(error))
      failing = true
      return { iceServers: undefined, renewIn: RETRY_AFTER }
    }
  }
}

function checked(offers: readonly IceServerOffer[]): IceServer[] {
  const parsed = v.safeParse(IceServersSchema, offers)
  if (parsed.success) return parsed.output
  throw signalingError('ERR_SIGNALING_ARGUMENT', `'iceServers' is no list of them: ${describeIssues(parsed.issues)}.`)
}

function renewalOf(offers: readonly IceServerOffer[]): number {
  const left = Math.min(...offers.map(({ expires = Number.POSITIVE_INFINITY }) => expires)) - Date.now()
  if (left === Number.POSITIVE_INFINITY) return left
  return Math.min(Math.max(left * RENEW_AT, RENEWAL.soonest), RENEWAL.latest)
}
