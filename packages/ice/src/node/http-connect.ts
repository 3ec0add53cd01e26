import { type Address, formatAddress } from '@floe/stun'
import type { ProxyHandshake, ProxyServer, ProxyStep } from './proxy.ts'

/** What an HTTP proxy may say before the tunnel stands: more is no answer to a CONNECT. Bytes. */
export const MAX_RESPONSE_HEADER = 16_384

/** RFC 9110 §9.3.6: asks for a tunnel to `target`, whose `ip` may be a name. */
export class HttpConnect implements ProxyHandshake {
  readonly #proxy: ProxyServer
  readonly #target: string
  readonly #received = Buffer.alloc(MAX_RESPONSE_HEADER)
  #filled = 0
  /** Where the answer begins: behind interim ones. */
  #begin = 0

  constructor(proxy: ProxyServer, target: Address) {
    this.#proxy = proxy
    this.#target = formatAddress(target)
  }

  start(): Uint8Array {
    const lines = [`CONNECT ${this.#target} HTTP/1.1`, `Host: ${this.#target}`]
    const { username, password = '' } = this.#proxy
    if (username !== undefined) {
      lines.push(`Proxy-Authorization: Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`)
    }
    return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`)
  }

  push(chunk: Uint8Array): ProxyStep {
    const before = this.#filled
    const taken = chunk.subarray(0, MAX_RESPONSE_HEADER - before)
    this.#received.set(taken, before)
    this.#filled += taken.length
    for (;;) {
      const answer = this.#received.subarray(this.#begin, this.#filled)
      if (!isHttp(answer)) return this.#refused('does not speak HTTP: check the port')
      // An end that began in an earlier chunk is found by looking at its last three bytes again.
      const end = endOfHeader(answer, Math.max(0, before - this.#begin - 3))
      if (end === undefined) return this.#more()
      const header = answer.toString('latin1', 0, end)
      this.#begin += end
      // RFC 9110 §15.2: interim answers come before the one that counts.
      if (!INTERIM.test(header)) return this.#answer(header, chunk.subarray(this.#begin - before))
    }
  }

  #more(): ProxyStep {
    return this.#filled < MAX_RESPONSE_HEADER ? { type: 'more' } : this.#refused('sent no end of a header in 16 KiB')
  }

  #answer(header: string, rest: Uint8Array): ProxyStep {
    const status = STATUS_LINE.exec(header)
    if (!status) return this.#refused('answered with a malformed status line')
    const code = Number(status[1])
    // RFC 9110 §9.3.6: any 2xx; its Content-Length and Transfer-Encoding mean nothing.
    if (code < 300) return { type: 'open', rest }
    return this.#refused(this.#reason(code, status[2] ?? '', header))
  }

  #reason(code: number, phrase: string, header: string): string {
    const said = `answered ${`${code} ${printable(phrase)}`.trim()}`
    // 401 is a server's, but tinyproxy says so to a wrong password.
    if (code === 407 || code === 401) return `${said}: ${this.#authenticationAdvice(header)}`
    const advice = ADVICE.get(code)
    return advice === undefined ? said : `${said}: ${advice}`
  }

  #authenticationAdvice(header: string): string {
    const schemes = [...header.matchAll(/^(?:proxy|www)-authenticate:[ \t]*([\w-]+)/gim)].map(
      ([, scheme]) => scheme as string,
    )
    if (schemes.length > 0 && !schemes.some((scheme) => scheme.toLowerCase() === 'basic')) {
      return `it takes only ${schemes.join(', ')} authentication, and we have Basic`
    }
    return this.#proxy.username === undefined
      ? `write user and password into its URL: ${this.#proxy.scheme}://user:password@…`
      : 'it does not accept this user name and password'
  }

  #refused(reason: string): ProxyStep {
    return { type: 'refused', reason: `the HTTP proxy ${reason}` }
  }
}

const STATUS_LINE = /^HTTP\/\d\.\d ([2-5]\d\d)(?: ([^\r\n]*))?\r?\n/
const INTERIM = /^HTTP\/\d\.\d 1\d\d[ \r\n]/

const ADVICE: ReadonlyMap<number, string> = new Map([
  [400, 'it does not know CONNECT, or not for such a host'],
  [403, 'its rules forbid this host or port; port 443 is allowed most often'],
  [404, 'is it a web server rather than a proxy?'],
  [405, 'it does not allow CONNECT; is it a web server rather than a proxy?'],
  [500, 'it could not reach the server'],
  [502, 'it could not reach the server'],
  [503, 'it could not reach the server, or is overloaded'],
  [504, 'the server did not answer it in time'],
])

/** So far as can be told: a TLS alert or an SSH banner need not be waited out. */
function isHttp(header: Uint8Array): boolean {
  const start = 'HTTP/'
  for (let i = 0; i < Math.min(start.length, header.length); i++) if (header[i] !== start.charCodeAt(i)) return false
  return true
}

/** The index after the empty line. RFC 9112 §2.2 lets a lone LF end a line. */
function endOfHeader(header: Uint8Array, from: number): number | undefined {
  for (let i = header.indexOf(LF, from); i >= 0; i = header.indexOf(LF, i + 1)) {
    const next = header[i + 1] === CR ? i + 2 : i + 1
    if (header[next] === LF) return next + 1
  }
  return undefined
}

const CR = 13
const LF = 10

function printable(text: string): string {
  return text.replace(/[^ -~]/g, '').slice(0, 80)
}
