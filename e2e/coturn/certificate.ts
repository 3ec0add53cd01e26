import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'

export interface Certificate {
  /** PEM of the authority that signed it: for `tls.connect({ ca })`, `iceServers` and NODE_EXTRA_CA_CERTS. */
  readonly ca: string
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
}

/** A server certificate for these names and IP addresses, and an authority of its own, in `directory`. Good for two days. */
export function makeCertificate(directory: string, names: readonly string[]): Certificate {
  const file = (name: string) => join(directory, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe', timeout: 10_000 })
  const key = (name: string) => [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    file(name),
  ]
  const alternatives = names.map((name) => `${isIP(name) ? 'IP' : 'DNS'}:${name}`).join(',')
  openssl('req', '-x509', ...key('ca.key'), '-out', file('ca.pem'), '-days', '2', '-subj', '/CN=floe test authority')
  const request = ['-out', file('server.csr'), '-subj', `/CN=${names[0]}`, '-addext', `subjectAltName=${alternatives}`]
  openssl('req', ...key('server.key'), ...request)
  const authority = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial']
  const signed = ['-out', file('server.pem'), '-days', '2', '-copy_extensions', 'copy']
  openssl('x509', '-req', '-in', file('server.csr'), ...authority, ...signed)
  const ca = readFileSync(file('ca.pem'), 'utf8')
  return { ca, caFile: file('ca.pem'), certFile: file('server.pem'), keyFile: file('server.key') }
}
