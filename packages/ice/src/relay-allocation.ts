import { Allocation, type AllocationOptions, TurnError } from '@floe/turn'
import type { TurnServer } from './servers.ts'

/**
 * An allocation on that server; or why there can be none: credentials that no request has room for, or addresses of two
 * families. Whoever gave them has long returned, so nobody is there to catch what `Allocation` throws.
 */
export function newAllocation(
  { protocol, username, credential, mobility }: TurnServer,
  options: Pick<AllocationOptions, 'server' | 'local' | 'random' | 'families'>,
): Allocation | string {
  try {
    return new Allocation({ ...options, protocol: protocol === 'udp' ? 'udp' : 'tcp', username, credential, mobility })
  } catch (error) {
    if (error instanceof TurnError) return error.message
    throw error
  }
}
