import { ipToBytes } from '@floe/stun'

/** How far an IP address reaches (RFC 6890). */
export type Scope =
  | 'unspecified'
  | 'loopback'
  | 'link-local'
  /** RFC 1918, or an IPv6 unique local address (RFC 4193). */
  | 'private'
  /** 100.64.0.0/10, RFC 6598: between a carrier's NAT and its customers. */
  | 'shared'
  /** 192.0.0.0/29, RFC 7335: the inside of a CLAT or a B4. */
  | 'translator'
  | 'multicast'
  | 'global'

/** `undefined`: no IP address. */
export function addressScope(ip: string): Scope | undefined {
  const bytes = ipToBytes(ip)
  if (bytes === undefined) return undefined
  return bytes.length === 4 ? scope4(bytes[0]!, bytes[1]!, bytes[2]!, bytes[3]!) : scope6(bytes)
}

/** Whether somebody else could send to it: what a router names as an external address has to pass. */
export function isUsableExternal(ip: string): boolean {
  const scope = addressScope(ip)
  return scope === 'global' || scope === 'private' || scope === 'shared'
}

function scope4(a: number, b: number, c: number, d: number): Scope {
  if (a === 0) return 'unspecified'
  if (a === 127) return 'loopback'
  if (a === 169 && b === 254) return 'link-local'
  if (a === 10 || (a === 172 && b >> 4 === 1) || (a === 192 && b === 168)) return 'private'
  if (a === 100 && b >> 6 === 1) return 'shared'
  if (a === 192 && b === 0 && c === 0 && d < 8) return 'translator'
  return a >= 224 ? 'multicast' : 'global'
}

function scope6(bytes: Uint8Array): Scope {
  const [a, b] = bytes as unknown as [number, number]
  if (bytes.subarray(0, 15).every((byte) => byte === 0)) {
    if (bytes[15] === 0) return 'unspecified'
    if (bytes[15] === 1) return 'loopback'
  }
  if (a === 0xff) return 'multicast'
  if (a === 0xfe && b >> 6 === 2) return 'link-local'
  return a >> 1 === 0x7e ? 'private' : 'global'
}
