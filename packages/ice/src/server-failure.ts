import type { LocalBase } from './local-base.ts'
import type { Context } from './outputs.ts'
import type { StunServer } from './servers.ts'

/** A STUN server has not answered this base, or not as it should: the caller is told, as W3C has it. */
export function reportFailure(
  now: number,
  context: Context,
  { address, hostname }: LocalBase,
  { address: serverAddress, url }: StunServer,
  { errorCode, errorText }: { readonly errorCode: number; readonly errorText: string },
): void {
  const server = `${serverAddress.ip}:${serverAddress.port}`
  context.log(now, 'server-failed', () => `${url} (${server}) from ${address.ip}`, errorText)
  const seen = hostname ? { address: null, port: null } : { address: address.ip, port: address.port }
  context.emit({ type: 'candidateerror', url, ...seen, errorCode, errorText: `STUN server ${server}: ${errorText}` })
}
