/** The certificate that our TURN server shows over TLS: looked at before coturn is started, which would only log and go on. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { CliError, EXIT } from '../failure.ts'

/** PEM files. */
export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

/**
 * Absolute paths of the files, when they are a pair, good now, and for all these names and addresses.
 * @throws CliError
 */
export function checkCertificate(files: CertificateFiles, hosts: readonly string[]): CertificateFiles {
  const [cert, key] = [resolve(files.cert), resolve(files.key)]
  const certificate = parse('--turn-cert', cert, (pem) => new X509Certificate(pem))
  const privateKey = parse('--turn-key', key, createPrivateKey)
  if (!certificate.checkPrivateKey(privateKey)) {
    throw wrong(`${key} is not the key of ${cert}.`, 'Give --turn-cert and --turn-key that were made together.')
  }
  const expires = new Date(certificate.validTo)
  if (expires.getTime() <= Date.now()) {
    throw wrong(`${cert} has expired on ${expires.toISOString()}.`, 'Renew it, then start floe again.')
  }
  const stranger = hosts.find((host) => !isFor(certificate, host))
  if (stranger !== undefined) {
    const names = certificate.subjectAltName ?? 'no name at all'
    throw wrong(`${cert} is not for ${stranger}.`, `It is for ${names}: say which with --turn-host.`)
  }
  return { cert, key }
}

function isFor(certificate: X509Certificate, host: string): boolean {
  return (isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host)) !== undefined
}

function parse<T>(option: string, file: string, read: (pem: Buffer) => T): T {
  try {
    return read(readFileSync(file))
  } catch (cause) {
    throw wrong(`${option}: ${file} cannot be used: ${(cause as Error).message}.`, 'It has to be a PEM file.', cause)
  }
}

function wrong(message: string, hint: string, cause?: unknown): CliError {
  return new CliError('ERR_CLI_TURN', EXIT.turn, message, hint, { cause })
}
