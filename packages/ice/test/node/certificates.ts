import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Certificate {
  readonly key: string
  readonly cert: string
}

/** A certificate authority of our own, made by the openssl binary. */
export class CertificateAuthority implements Disposable {
  /** Its certificate, in PEM: what `tls.ca` takes. */
  readonly ca: string
  readonly #folder = mkdtempSync(join(tmpdir(), 'floe-ca-'))

  constructor() {
    this.#openssl(
      'req',
      '-x509',
      ...NEW_KEY,
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem',
      '-subj',
      '/CN=floe test CA',
      ...DAYS,
    )
    this.ca = this.#read('ca.pem')
  }

  /** `names` as OpenSSL has them: `DNS:turn.test`, `IP:127.0.0.1`. */
  issue(...names: string[]): Certificate {
    this.#openssl('req', ...NEW_KEY, '-keyout', 'leaf.key', '-out', 'leaf.csr', '-subj', '/CN=floe test')
    writeFileSync(join(this.#folder, 'leaf.ext'), `subjectAltName=${names.join(',')}\n`)
    const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'leaf.ext', ...DAYS]
    this.#openssl('x509', '-req', '-in', 'leaf.csr', '-out', 'leaf.pem', ...signing)
    return { key: this.#read('leaf.key'), cert: this.#read('leaf.pem') }
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.#folder, stdio: ['ignore', 'ignore', 'pipe'], timeout: 20_000 })
  }

  #read(name: string): string {
    return readFileSync(join(this.#folder, name), 'utf8')
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
const DAYS = ['-days', '2']
