import { expect, test } from 'vitest'
import { RTCCertificate } from '../../src/node/certificate.ts'
import { RTCPeerConnection } from '../../src/node/peer-connection.ts'

/* webrtc-pc §4.9: generateCertificate() and RTCCertificate. */

const DAY = 86_400_000
const ECDSA = { name: 'ECDSA', namedCurve: 'P-256' }
const RSA = {
  name: 'RSASSA-PKCS1-v1_5',
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: 'SHA-256',
}

const generate = (algorithm: unknown) => RTCPeerConnection.generateCertificate(algorithm as AlgorithmIdentifier)

test.each([
  ECDSA,
  RSA,
  'ECDSA',
  'RSASSA-PKCS1-v1_5',
  { ...ECDSA, name: 'ecdsa' },
  { ...RSA, hash: { name: 'SHA-256' } },
])('%j', async (algorithm) => {
  const certificate = await generate(algorithm)
  expect(certificate).toBeInstanceOf(RTCCertificate)
  expect(certificate.getFingerprints()).toEqual([
    { algorithm: 'sha-256', value: expect.stringMatching(/^[0-9a-f]{2}(:[0-9a-f]{2}){31}$/) },
  ])
  expect(Math.abs(certificate.expires - Date.now() - 30 * DAY)).toBeLessThan(60_000)
})

test.each([
  'invalid-algo',
  { name: 'Ed25519' },
  { ...ECDSA, namedCurve: 'P-521' },
  { ...RSA, modulusLength: 1024 },
  { ...RSA, hash: 'SHA-1' },
])('%j is a NotSupportedError', async (algorithm) => {
  await expect(generate(algorithm)).rejects.toMatchObject({ name: 'NotSupportedError' })
})

test.each([{}, null, undefined, 7, { ...ECDSA, expires: -1 }, { ...ECDSA, expires: 'soon' }])(
  '%j is a TypeError',
  async (algorithm) => {
    await expect(generate(algorithm)).rejects.toThrow(TypeError)
  },
)

test.each([
  [0, 0],
  [5 * DAY, 5 * DAY],
  [1000 * DAY, 365 * DAY],
])('expires %i: in %i milliseconds', async (expires, expected) => {
  const before = Date.now()
  const certificate = await generate({ ...ECDSA, expires })
  expect(certificate.expires).toBeGreaterThanOrEqual(before + expected)
  expect(certificate.expires).toBeLessThan(before + expected + 60_000)
})
