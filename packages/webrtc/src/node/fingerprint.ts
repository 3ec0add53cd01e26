import { createHash } from 'node:crypto'

/** A line `a=fingerprint`, RFC 8122 §5. */
export interface Fingerprint {
  readonly algorithm: string
  readonly value: string
}

/**
 * The hash functions of RFC 8122 §5 that count, the strongest first. SHA-256 is what everyone has; SHA-1, MD5 and MD2
 * are as good as no fingerprint, since certificates can be made that collide.
 */
const ALGORITHMS = ['sha-512', 'sha-384', 'sha-256'] as const
type Algorithm = (typeof ALGORITHMS)[number]

const DIGEST_BYTES: Record<Algorithm, number> = { 'sha-256': 32, 'sha-384': 48, 'sha-512': 64 }

/** Whether a certificate can be checked at all: some fingerprint is of a safe hash function, and well-formed. */
export function hasUsableFingerprint(fingerprints: readonly Fingerprint[]): boolean {
  return strongest(fingerprints) !== undefined
}

/**
 * RFC 8122 §6.2: one hash function is picked, the strongest there is, and the certificate has to match one of its
 * fingerprints. Weaker ones are not looked at, or they would decide.
 */
export function matchesFingerprint(certificate: Uint8Array, fingerprints: readonly Fingerprint[]): boolean {
  const algorithm = strongest(fingerprints)
  if (!algorithm) return false
  const digest = createHash(algorithm.replace('-', '')).update(certificate).digest('hex')
  return fingerprints.some((each) => algorithmOf(each) === algorithm && hexOf(each) === digest)
}

function strongest(fingerprints: readonly Fingerprint[]): Algorithm | undefined {
  return ALGORITHMS.find((algorithm) => fingerprints.some((each) => algorithmOf(each) === algorithm))
}

function algorithmOf(fingerprint: Fingerprint): Algorithm | undefined {
  const name = fingerprint.algorithm.trim().toLowerCase()
  const algorithm = ALGORITHMS.find((each) => each === name)
  return algorithm && hexOf(fingerprint).length === 2 * DIGEST_BYTES[algorithm] ? algorithm : undefined
}

function hexOf({ value }: Fingerprint): string {
  return /^\s*[0-9a-f]{2}(:[0-9a-f]{2})*\s*$/i.test(value) ? value.replace(/[\s:]/g, '').toLowerCase() : ''
}
