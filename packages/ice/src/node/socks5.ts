import { type Address, formatAddress, ipToBytes } from '@floe/stun'
import type { ProxyHandshake, ProxyServer, ProxyStep } from './proxy.ts'

/** RFC 1928: asks for a connection to `target`, whose `ip` may be a name, which the proxy then resolves. */
export class Socks5 implements ProxyHandshake {
  readonly #proxy: ProxyServer
  readonly #target: Address
  #state: 'method' | 'authentication' | 'reply' = 'method'
  #received = new Uint8Array()

  constructor(proxy: ProxyServer, target: Address) {
    this.#proxy = proxy
    this.#target = target
  }

  /** RFC 1928 §3. */
  start(): Uint8Array {
    const methods = this.#proxy.username === undefined ? [NO_AUTHENTICATION] : [NO_AUTHENTICATION, USERNAME_PASSWORD]
    return Uint8Array.of(VERSION, methods.length, ...methods)
  }

  push(chunk: Uint8Array): ProxyStep {
    // Never longer than one chunk and the 262 bytes of the longest reply.
    const received = new Uint8Array(this.#received.length + chunk.length)
    received.set(this.#received)
    received.set(chunk, this.#received.length)
    this.#received = received
    if (this.#state === 'reply') return this.#reply(received)
    return received.length < 2 ? { type: 'more' } : this.#proceed(received[0]!, received[1]!)
  }

  #proceed(version: number, value: number): ProxyStep {
    if (this.#received.length > 2) return this.#refused('speaks before it is asked: it is no SOCKS5 proxy')
    this.#received = new Uint8Array()
    return this.#state === 'method' ? this.#method(version, value) : this.#authenticated(value)
  }

  /** RFC 1928 §3. */
  #method(version: number, method: number): ProxyStep {
    if (version !== VERSION) return this.#refused('does not speak SOCKS5: check the port and the scheme of its URL')
    if (method === NO_AUTHENTICATION) return this.#request()
    const { username, password = '' } = this.#proxy
    if (method === USERNAME_PASSWORD && username !== undefined) {
      this.#state = 'authentication'
      const [user, pass] = [Buffer.from(username), Buffer.from(password)]
      // RFC 1929 §2.
      return { type: 'send', bytes: Buffer.from([1, user.length, ...user, pass.length, ...pass]) }
    }
    return this.#refused(
      username === undefined
        ? 'asks for a user name and password: write them into its URL, socks5://user:password@…'
        : 'takes neither a user name with password nor none: it wants GSSAPI or a method of its own',
    )
  }

  /** RFC 1929 §2: 0 is success, and everything else is not. */
  #authenticated(status: number): ProxyStep {
    return status === 0 ? this.#request() : this.#refused('does not accept this user name and password')
  }

  /** RFC 1928 §4. */
  #request(): ProxyStep {
    const { ip, port } = this.#target
    const address = socksAddress(ip)
    if (!address) return this.#refused(`cannot be asked for a name of more than 255 bytes: ${ip.slice(0, 40)}…`)
    this.#state = 'reply'
    return { type: 'send', bytes: Uint8Array.of(VERSION, CONNECT, 0, ...address, port >> 8, port & 0xff) }
  }

  /** RFC 1928 §6. The bound address is of no use, but the stream begins behind it. */
  #reply(received: Uint8Array): ProxyStep {
    const [version, code, , addressType, nameLength] = received
    if (version !== undefined && version !== VERSION) return this.#refused('answered with something that is not SOCKS5')
    // Some proxies close right after the code of a refusal.
    if (code) return this.#refused(`answered "${REPLIES[code] ?? `code ${code}`}" for ${formatAddress(this.#target)}`)
    if (addressType === undefined || nameLength === undefined) return { type: 'more' }
    const addressLength = addressType === NAME ? 1 + nameLength : ADDRESS_LENGTH.get(addressType)
    if (addressLength === undefined) return this.#refused(`answered with the unknown address type ${addressType}`)
    const end = 4 + addressLength + 2
    return received.length < end ? { type: 'more' } : { type: 'open', rest: received.subarray(end) }
  }

  #refused(reason: string): ProxyStep {
    return { type: 'refused', reason: `the SOCKS5 proxy ${reason}` }
  }
}

const VERSION = 5
const CONNECT = 1
const NO_AUTHENTICATION = 0
const USERNAME_PASSWORD = 2

/** RFC 1928 §5. */
const IPV4 = 1
const NAME = 3
const IPV6 = 4
const ADDRESS_LENGTH: ReadonlyMap<number, number> = new Map([
  [IPV4, 4],
  [IPV6, 16],
])

/** RFC 1928 §6, by code. */
const REPLIES = [
  'succeeded',
  'general SOCKS server failure',
  'connection not allowed by ruleset',
  'network unreachable',
  'host unreachable',
  'connection refused',
  'TTL expired',
  'command not supported',
  'address type not supported',
]

function socksAddress(host: string): Uint8Array | undefined {
  const ip = ipToBytes(host)
  if (ip) return Uint8Array.of(ip.length === 4 ? IPV4 : IPV6, ...ip)
  const name = Buffer.from(host)
  return name.length <= 255 ? Uint8Array.of(NAME, name.length, ...name) : undefined
}
