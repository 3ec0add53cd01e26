/** Addresses that reach a base from outside come and go: a router's lease ends, or it maps another port. */
import { type Address, sameAddress } from '@floe/stun'
import type { Candidate } from './candidate.ts'

/** What has gone, and what is new. */
export function mappingChanges(
  before: readonly Address[] = [],
  after: readonly Address[] = [],
): { gone: Address[]; fresh: Address[] } {
  const without = (these: readonly Address[], those: readonly Address[]) =>
    these.filter((address) => !those.some((other) => sameAddress(other, address)))
  return { gone: without(before, after), fresh: without(after, before) }
}

/** The candidate is of one of these addresses, and not because a server or the peer has seen it. */
export function isMapped({ type, url, address }: Candidate, mapped: readonly Address[]): boolean {
  return type === 'srflx' && url === undefined && mapped.some((other) => sameAddress(other, address))
}
