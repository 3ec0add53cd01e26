import { expect, test } from 'vitest'
import { RTCCertificate } from '../src/node/certificate.ts'
import { PeerAuthenticationError } from '../src/node/dtls-guard.ts'
import type { RTCPeerConnection } from '../src/node/peer-connection.ts'
import { RTCError } from '../src/node/rtc-error.ts'
import { createPair, LOOPBACK, negotiate, state, trickle } from './pair.ts'

/** The certificate of someone else (it is public: every handshake shows it), with a key of the impostor's own. */
async function stolenCertificate(): Promise<RTCCertificate> {
  const victim = await RTCCertificate.generate()
  const own = await RTCCertificate.generate()
  RTCCertificate.unwrap(victim).privateKey = RTCCertificate.unwrap(own).privateKey
  return victim
}

/** Negotiates, `tamper` being what the honest side is told; says how it ended for it, and whether anything passed. */
async function meet(honest: 'offerer' | 'answerer', tamper: (sdp: string) => string, impostor = LOOPBACK) {
  await using pair = honest === 'offerer' ? createPair(LOOPBACK, impostor) : createPair(impostor, LOOPBACK)
  const self = honest === 'offerer' ? pair.a : pair.b
  trickle(pair)
  const channels = [pair.a, pair.b].map((peer) => peer.createDataChannel('x', { negotiated: true, id: 0 }))
  const events: string[] = []
  for (const channel of channels) {
    channel.onopen = () => events.push('open')
    channel.onmessage = () => events.push('message')
  }
  const mine = channels[honest === 'offerer' ? 0 : 1]!
  mine.onerror = () => events.push('channel error')
  let error: Error | undefined
  self.onerror = (event) => {
    error = event.error
    events.push(`error while ${self.connectionState}`)
  }
  await pair.a.setLocalDescription()
  const told = (by: RTCPeerConnection, sdp: string) => (by === self ? sdp : tamper(sdp))
  await pair.b.setRemoteDescription({ type: 'offer', sdp: told(pair.a, pair.a.localDescription!.sdp) })
  await pair.b.setLocalDescription()
  await pair.a.setRemoteDescription({ type: 'answer', sdp: told(pair.b, pair.b.localDescription!.sdp) })
  await state(self, 'failed')
  return { error, events, channel: mine.readyState }
}

// The answerer is the DTLS client (RFC 8842 §5.3), so the two cases are the two signatures of the handshake.
test.each([
  ['answerer', 'DTLS client: its ServerKeyExchange'],
  ['offerer', 'DTLS server: its CertificateVerify'],
] as const)('a peer without the key of its certificate is refused: we are the %s, as %s', async (honest, what) => {
  const impostor = { ...LOOPBACK, certificates: [await stolenCertificate()] }
  const { error, events, channel } = await meet(honest, (sdp) => sdp, impostor)
  expect(error).toBeInstanceOf(RTCError)
  expect(error).toMatchObject({ errorDetail: 'fingerprint-failure', cause: { code: 'ERR_DTLS_UNAUTHENTICATED' } })
  const message = what.split(' ').at(-1)!
  expect(error?.message).toBe(
    `The peer does not hold the private key of its certificate: the signature of its ${message} is wrong`,
  )
  expect(events).toEqual(['error while connecting', 'channel error'])
  expect(channel).toBe('closed')
})

test.each(['answerer', 'offerer'] as const)(
  'a certificate other than the signalled one is refused by the %s',
  async (honest) => {
    const flip = (sdp: string) =>
      sdp.replace(/(a=fingerprint:sha-256 )(..)/, (_, name, byte) => name + (byte === '00' ? '01' : '00'))
    const { error, events } = await meet(honest, flip)
    expect(error).toMatchObject({ errorDetail: 'fingerprint-failure', cause: expect.any(PeerAuthenticationError) })
    expect(error?.message).toBe('The peer presented another certificate than the one named in its session description')
    expect(events).not.toContain('message')
    expect(events).not.toContain('open')
  },
)

test('the same certificate with its key is welcome', async () => {
  const config = { ...LOOPBACK, certificates: [await RTCCertificate.generate()] }
  await using pair = createPair(config, {
    ...LOOPBACK,
    certificates: [await RTCCertificate.generate('RSASSA-PKCS1-v1_5')],
  })
  trickle(pair)
  pair.a.createDataChannel('x')
  await negotiate(pair.a, pair.b)
  await Promise.all([state(pair.a, 'connected'), state(pair.b, 'connected')])
})
