import { type Address, formatAddress } from '@floe/stun'
import type { LocalBase } from './local-base.ts'
import type { Context } from './outputs.ts'
import type { StunServer } from './servers.ts'

interface ServerFailure {
  readonly errorCode: number
  readonly errorText: string
}

/** A STUN server has not answered this base, or not as it should: the caller is told, as W3C has it. */
export function reportFailure(
  now: number,
  context: Context,
  { address, hostname }: LocalBase,
  { address: serverAddress, url }: StunServer,
  { errorCode, errorText }: ServerFailure,
): void {
  const server = `${serverAddress.ip}:${serverAddress.port}`
  context.log(now, 'server-failed', () => `${url} (${server}) from ${address.ip}`, errorText)
  const seen = hostname ? { address: null, port: null } : { address: address.ip, port: address.port }
  context.emit({ type: 'candidateerror', url, ...seen, errorCode, errorText: `STUN server ${server}: ${errorText}` })
}

/** A TURN server does not relay, or no longer. `isNews`: the caller is told, and not the log alone. */
export function reportRelayFailure(
  now: number,
  context: Context,
  url: string,
  target: Address,
  { errorCode, errorText }: ServerFailure,
  isNews: boolean,
): void {
  const server = formatAddress(target)
  context.log(now, 'relay-failed', () => `${url} at ${server}`, `${errorCode} ${errorText}`)
  if (!isNews) return
  const nowhere = { address: null, port: null }
  context.emit({ type: 'candidateerror', url, ...nowhere, errorCode, errorText: `TURN server ${server}: ${errorText}` })
}

/** What does not get better by asking again: wrong credentials, forbidden, not supported. The rest passes with time. */
export function isFinal(code: number): boolean {
  return code >= 400 && code < 500 && code !== 437 && code !== 486
}
