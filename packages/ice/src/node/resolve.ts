import { lookup as systemLookup } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import { canonicalIp } from '@floe/stun'

export interface ResolveOptions {
  /** Ends everything at once; nothing is reported any more. */
  readonly signal: AbortSignal
  /** The first address of each family, as soon as it is known. */
  onaddress(ip: string): void
}

/** A name that takes longer than this is given up, milliseconds. Nobody waits for it meanwhile but the end of gathering. */
export const RESOLVE_DEADLINE = 5_000

/** How long the other family may take once one has an address: some DNS servers never answer for AAAA (RFC 8305 §3). */
const SECOND_FAMILY_DEADLINE = 1_000

/**
 * Resolves A and AAAA of a server's name side by side. The system's resolver is asked first: it knows the hosts file,
 * search domains and mDNS. But it answers on a few threads of the process that names on dead servers can occupy, so that
 * a slow one gets company: queries of our own to the same DNS servers, which wait for nobody.
 * Resolves to `undefined` when there was an address, else to why not. Never rejects.
 */
export async function resolveHost(host: string, { signal, onaddress }: ResolveOptions): Promise<string | undefined> {
  if (/^(.*\.)?localhost\.?$/i.test(host)) {
    for (const ip of ['127.0.0.1', '::1']) onaddress(ip) // RFC 6761 §6.3: not a question for DNS.
    return undefined
  }
  const resolver = new Resolver({ timeout: 1_000, tries: 3 })
  const ending = new AbortController()
  const end = () => ending.abort()
  let timer = setTimeout(end, RESOLVE_DEADLINE)
  const found = (ip: string) => {
    clearTimeout(timer)
    timer = setTimeout(end, SECOND_FAMILY_DEADLINE)
    if (!signal.aborted) onaddress(ip)
  }
  signal.addEventListener('abort', end, { once: true })
  try {
    const results = await Promise.all(
      ([4, 6] as const).map(async (family) => {
        const result = await resolveFamily(host, family, resolver, ending.signal)
        if (result.ip !== undefined) found(result.ip)
        return result
      }),
    )
    if (results.some(({ ip }) => ip !== undefined)) return undefined
    return results.map(({ reason }) => reason).find((reason) => reason !== undefined) ?? 'no address'
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', end)
    resolver.cancel()
  }
}

/** Longer than any hosts file or nearby DNS server takes, short against what a user notices. */
const HEDGE_AFTER = 300

interface Resolution {
  readonly ip?: string
  readonly reason?: string
}

function resolveFamily(host: string, family: 4 | 6, resolver: Resolver, ended: AbortSignal): Promise<Resolution> {
  return new Promise((resolve) => {
    const hedge = setTimeout(query, HEDGE_AFTER)
    const finish = (result: Resolution) => {
      clearTimeout(hedge)
      ended.removeEventListener('abort', expire)
      resolve(result)
    }
    const expire = () => finish({ reason: `no answer from DNS within ${RESOLVE_DEADLINE} ms` })
    ended.addEventListener('abort', expire, { once: true })
    systemLookup(host, { family, all: true }, (error, addresses) => {
      const ip = addresses?.map(({ address }) => canonicalIp(address)).find((address) => address !== undefined)
      finish(ip === undefined ? { reason: error?.code ?? 'no address' } : { ip })
    })
    function query() {
      const answer = family === 4 ? resolver.resolve4(host) : resolver.resolve6(host)
      // Only an address counts: what DNS does not know may still be in the hosts file.
      answer.then(([ip]) => ip !== undefined && finish({ ip: canonicalIp(ip) ?? ip }), ignore)
    }
  })
}

function ignore(): void {}
