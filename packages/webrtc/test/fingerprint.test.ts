import { createHash, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { hasUsableFingerprint, matchesFingerprint } from '../src/node/fingerprint.ts'

/* RFC 8122 §5 and §6.2. */

const certificate = randomBytes(500)

function print(algorithm: string, of: Uint8Array = certificate): { algorithm: string; value: string } {
  const digest = createHash(algorithm.replace('-', '')).update(of).digest('hex')
  return { algorithm, value: digest.toUpperCase().match(/../g)!.join(':') }
}

const other = (algorithm: string) => print(algorithm, randomBytes(500))

test.each(['sha-256', 'sha-384', 'sha-512'])('%s', (algorithm) => {
  expect(matchesFingerprint(certificate, [print(algorithm)])).toBe(true)
  expect(matchesFingerprint(certificate, [other(algorithm)])).toBe(false)
  expect(hasUsableFingerprint([print(algorithm)])).toBe(true)
})

test.each(['sha-1', 'sha-224', 'md5'])('%s is as good as none', (algorithm) => {
  expect(matchesFingerprint(certificate, [print(algorithm)])).toBe(false)
  expect(hasUsableFingerprint([print(algorithm)])).toBe(false)
  expect(matchesFingerprint(certificate, [print(algorithm), print('sha-256')])).toBe(true)
})

test('case and white space do not matter', () => {
  const { value } = print('sha-256')
  for (const algorithm of ['SHA-256', 'Sha-256', ' sha-256 ']) {
    expect(matchesFingerprint(certificate, [{ algorithm, value: ` ${value.toLowerCase()} ` }])).toBe(true)
  }
})

test('several certificates by one hash function: any of them', () => {
  expect(matchesFingerprint(certificate, [other('sha-256'), print('sha-256')])).toBe(true)
  expect(matchesFingerprint(certificate, [other('sha-256'), other('sha-256')])).toBe(false)
})

test('the strongest hash function decides: a weaker one that fits does not help', () => {
  expect(matchesFingerprint(certificate, [print('sha-256'), other('sha-512')])).toBe(false)
  expect(matchesFingerprint(certificate, [other('sha-256'), print('sha-512')])).toBe(true)
})

test('what is malformed is not there', () => {
  const { value } = print('sha-256')
  const malformed = [
    '',
    'AB:CD',
    value.replaceAll(':', ''),
    `${value}:00`,
    value.slice(0, -1),
    value.replace(/../, 'XY'),
  ]
  for (const each of malformed) {
    expect(hasUsableFingerprint([{ algorithm: 'sha-256', value: each }]), each).toBe(false)
    expect(matchesFingerprint(certificate, [{ algorithm: 'sha-256', value: each }]), each).toBe(false)
  }
  expect(matchesFingerprint(certificate, [{ algorithm: 'sha-512', value: '' }, print('sha-256')])).toBe(true)
  expect([hasUsableFingerprint([]), matchesFingerprint(certificate, [])]).toEqual([false, false])
})
