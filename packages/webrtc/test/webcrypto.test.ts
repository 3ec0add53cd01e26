import { createHmac, webcrypto as native, X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { RTCCertificate } from '../src/node/certificate.ts'
import { webcrypto } from '../src/node/index.ts'

const text = new TextEncoder().encode('what code shared with a browser signs')
const hex = (bytes: ArrayBuffer) => Buffer.from(bytes).toString('hex')

test('the same bytes as node:crypto: HMAC and digests', async () => {
  const raw = new Uint8Array(32).fill(7)
  for (const hash of ['SHA-1', 'SHA-256'] as const) {
    const key = await webcrypto.subtle.importKey('raw', raw, { name: 'HMAC', hash }, false, ['sign', 'verify'])
    const signature = await webcrypto.subtle.sign('HMAC', key, text)
    expect(hex(signature)).toBe(createHmac(hash.replace('-', ''), raw).update(text).digest('hex'))
    expect(await webcrypto.subtle.verify('HMAC', key, signature, text)).toBe(true)
    expect(hex(await webcrypto.subtle.digest(hash, text))).toBe(hex(await native.subtle.digest(hash, text)))
  }
})

test.each(['ECDSA', 'RSASSA-PKCS1-v1_5'] as const)(
  "a %s key signs what Node's own WebCrypto verifies",
  async (name) => {
    const { certPem, privateKey } = RTCCertificate.unwrap(await RTCCertificate.generate(name))
    const pkcs8 = Buffer.from(privateKey.replace(/-----[^-]+-----/g, ''), 'base64')
    const algorithm = { name, namedCurve: 'P-256', hash: 'SHA-256' }
    const key = await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign'])
    const signature = await webcrypto.subtle.sign(algorithm, key, text)
    const spki = new X509Certificate(certPem).publicKey.export({ type: 'spki', format: 'der' })
    const publicKey = await native.subtle.importKey('spki', spki, algorithm, false, ['verify'])
    expect(await native.subtle.verify(algorithm, publicKey, signature, text)).toBe(true)
  },
)

test('a certificate: self-signed, valid for 30 days from a day ago, no two alike', async () => {
  const [one, two] = await Promise.all([RTCCertificate.generate(), RTCCertificate.generate()])
  const x509 = new X509Certificate(RTCCertificate.unwrap(one).certPem)
  expect(x509.verify(x509.publicKey)).toBe(true)
  expect(x509.subject).toBe('CN=WebRTC')
  expect(Date.parse(x509.validFrom)).toBeLessThan(Date.now())
  expect(Math.abs(one.expires - Date.now() - 30 * 86_400_000)).toBeLessThan(60_000)
  expect(one.getFingerprints()).toEqual([{ algorithm: 'sha-256', value: x509.fingerprint256.toLowerCase() }])
  expect(one.getFingerprints()).not.toEqual(two.getFingerprints())
  await expect(RTCCertificate.generate('Ed25519')).rejects.toMatchObject({ name: 'NotSupportedError' })
})
