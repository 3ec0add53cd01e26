/** Where on its way a connection failed, for `connectFailure()`. */
export interface ConnectStage {
  /** `192.0.2.1:443`, or `the proxy proxy.example:3128`. */
  readonly peer: string
  readonly tls: boolean
  /** In TLS: the name or IP address that the certificate has to be for. */
  readonly name: string
}

/** The system's error in words: what happened, and what to do where there is something to do. `cause` is the original. */
export function connectFailure(error: NodeJS.ErrnoException, stage: ConnectStage): Error {
  const { peer } = stage
  const code = error.code ?? ''
  const certificate = certificateReason(error, code, stage)
  if (certificate !== undefined) return new Error(`${peer}: ${certificate}`, { cause: error })
  if (stage.tls && isTlsFailure(code)) return new Error(`${peer}: ${tlsReason(error, code)}`, { cause: error })
  const reason = REASONS.get(code)
  return new Error(`${peer}: ${reason === undefined ? error.message : `${reason} (${code})`}`, { cause: error })
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'nothing listens there, or a firewall refuses: is the port right, and TCP enabled?'],
  ['ECONNRESET', 'the connection was reset by the peer or by a firewall'],
  ['EPIPE', 'the peer had closed the connection'],
  ['ETIMEDOUT', 'no answer: a firewall drops the packets, or the host is down'],
  ['EHOSTUNREACH', 'the host cannot be reached'],
  ['ENETUNREACH', 'there is no route to it'],
  ['EADDRNOTAVAIL', 'the local address does not exist (any more)'],
  ['EACCES', 'this machine forbids the connection'],
  ['EPERM', 'this machine forbids the connection'],
  ['EMFILE', 'this process has too many open files: raise its limit (ulimit -n)'],
  ['ENFILE', 'this machine has too many open files'],
  ['ENOTFOUND', 'the name does not exist in DNS'],
  ['EAI_AGAIN', 'DNS does not answer'],
])

/** OpenSSL's names of what is wrong with a chain, as node:tls gives them. */
const UNKNOWN_ISSUER: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_UNTRUSTED',
])

function certificateReason(error: Error, code: string, { name }: ConnectStage): string | undefined {
  if (UNKNOWN_ISSUER.has(code)) {
    return `nobody that this machine trusts has signed its certificate: pass the CA's as tls.ca, in PEM (${code})`
  }
  if (code === 'CERT_HAS_EXPIRED') return `its certificate has expired: renew it (${code})`
  if (code === 'CERT_NOT_YET_VALID') return `its certificate is not valid yet: is this machine's clock right? (${code})`
  if (code === 'CERT_REVOKED') return `its certificate has been revoked (${code})`
  if (code !== 'ERR_TLS_CERT_ALTNAME_INVALID') return undefined
  const names = (error as { cert?: { subjectaltname?: string } }).cert?.subjectaltname ?? 'no name at all'
  return `its certificate is for ${names}, not for ${name}: use that name as host, or as tls.servername (${code})`
}

function isTlsFailure(code: string): boolean {
  return code === 'ECONNRESET' || code === 'EPIPE' || code === 'EPROTO' || code.startsWith('ERR_SSL')
}

function tlsReason(error: Error, code: string): string {
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    return `it does not answer in TLS: is this its port for plain TCP? (${code})`
  }
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    return `it closed the connection in the TLS handshake: does it speak TLS on this port? (${code})`
  }
  return `the TLS handshake failed: ${error.message.trim()}`
}
