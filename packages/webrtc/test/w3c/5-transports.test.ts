import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { RTCCertificate } from '../../src/node/certificate.ts'
import { RTCIceCandidate } from '../../src/node/ice-candidate.ts'
import { RTCDtlsTransport, RTCIceTransport, RTCSctpTransport } from '../../src/node/transports.ts'
import {
  createPair,
  eventOf,
  gathered,
  LOOPBACK,
  negotiate,
  openChannel,
  opened,
  record,
  state,
  trickle,
} from '../pair.ts'

/* webrtc-pc §5.5 RTCDtlsTransport, §5.6 RTCIceTransport, §6.1 RTCSctpTransport. */

test('sctp is null until the answer, then the way to the transports, and the same object ever after', async () => {
  await using pair = createPair()
  trickle(pair)
  pair.a.createDataChannel('x')
  await pair.a.setLocalDescription()
  await pair.b.setRemoteDescription(pair.a.localDescription!)
  expect([pair.a.sctp, pair.b.sctp]).toEqual([null, null])
  await pair.b.setLocalDescription()
  expect(pair.b.sctp).toBeInstanceOf(RTCSctpTransport)
  await pair.a.setRemoteDescription(pair.b.localDescription!)
  const { sctp } = pair.a
  expect(sctp).toBeInstanceOf(RTCSctpTransport)
  expect(sctp!.transport).toBeInstanceOf(RTCDtlsTransport)
  expect(sctp!.transport.iceTransport).toBeInstanceOf(RTCIceTransport)
  expect(sctp).toMatchObject({ state: 'connecting', maxChannels: null, maxMessageSize: 262_144 })
  await negotiate(pair.b, pair.a)
  expect(pair.a.sctp).toBe(sctp)
  expect(pair.a.sctp!.transport.iceTransport).toBe(sctp!.transport.iceTransport)
})

test('events and states on the way up and down', async () => {
  await using pair = createPair()
  trickle(pair)
  const ours = pair.a.createDataChannel('x')
  await negotiate(pair.a, pair.b)
  const sctp = pair.a.sctp!
  const seen: string[] = []
  const { transport } = sctp
  const { iceTransport } = transport
  sctp.onstatechange = () => seen.push(`sctp ${sctp.state}`)
  transport.onstatechange = () => seen.push(`dtls ${transport.state}`)
  iceTransport.onstatechange = () => seen.push(`ice ${iceTransport.state}`)
  const selected = eventOf(iceTransport, 'selectedcandidatepairchange')
  await opened(ours)
  await selected
  expect(seen).toEqual(expect.arrayContaining(['ice connected', 'dtls connecting', 'dtls connected', 'sctp connected']))
  const order = ['ice connected', 'dtls connecting', 'dtls connected', 'sctp connected'].map((entry) =>
    seen.indexOf(entry),
  )
  expect(order).toEqual(order.toSorted((x, y) => x - y))
  expect(sctp.maxChannels).toBe(65_535)
  seen.length = 0
  const closed = eventOf(ours, 'close')
  await pair.b.close()
  await closed
  // ICE may still be completing its checks meanwhile.
  const ended = () => seen.filter((entry) => !entry.startsWith('ice'))
  await expect.poll(ended).toEqual(['sctp closed', 'dtls closed'])
  expect([sctp.state, transport.state]).toEqual(['closed', 'closed'])
})

test('a connected ICE transport', async () => {
  await using pair = createPair()
  await openChannel(pair)
  await Promise.all([gathered(pair.a), gathered(pair.b), state(pair.a, 'connected')])
  const ours = pair.a.sctp!.transport.iceTransport
  const theirs = pair.b.sctp!.transport.iceTransport
  expect([ours.role, theirs.role, ours.component]).toEqual(['controlling', 'controlled', 'rtp'])
  expect(ours.state).toMatch(/connected|completed/)
  expect(ours.gatheringState).toBe('complete')
  const { usernameFragment, password } = ours.getLocalParameters()!
  expect(pair.a.localDescription!.sdp).toContain(`a=ice-ufrag:${usernameFragment}`)
  expect(theirs.getRemoteParameters()).toEqual({ usernameFragment, password })
  const local = ours.getLocalCandidates()
  expect(local.length).toBeGreaterThan(0)
  expect(local.every((candidate) => candidate instanceof RTCIceCandidate)).toBe(true)
  expect(local[0]).toMatchObject({ type: 'host', sdpMid: '0', sdpMLineIndex: 0, usernameFragment })
  const pairs = [ours, theirs].map((transport) => transport.getSelectedCandidatePair()!)
  const port = (candidate: RTCIceCandidate) => `${candidate.address} ${candidate.port}`
  expect(port(pairs[0]!.local)).toBe(port(pairs[1]!.remote))
  expect(port(pairs[0]!.remote)).toBe(port(pairs[1]!.local))
})

test('an ICE transport that has nobody to talk to', async () => {
  await using pair = createPair()
  pair.a.createDataChannel('x')
  await pair.a.setLocalDescription()
  await pair.b.setRemoteDescription({
    type: 'offer',
    sdp: pair.a.localDescription!.sdp.replaceAll(/a=candidate.*\r\n/g, ''),
  })
  await pair.b.setLocalDescription()
  const { iceTransport } = pair.b.sctp!.transport
  expect(iceTransport.getRemoteCandidates()).toEqual([])
  expect(iceTransport.getSelectedCandidatePair()).toBeNull()
  expect(iceTransport.getRemoteParameters()).not.toBeNull()
})

test("the DTLS transport shows the peer's certificate", async () => {
  const certificate = await RTCCertificate.generate()
  await using pair = createPair(LOOPBACK, { ...LOOPBACK, certificates: [certificate] })
  trickle(pair)
  const ours = pair.a.createDataChannel('x')
  await negotiate(pair.a, pair.b)
  expect(pair.a.sctp!.transport.getRemoteCertificates()).toEqual([])
  await opened(ours)
  const [der] = pair.a.sctp!.transport.getRemoteCertificates()
  const { fingerprint256 } = new X509Certificate(Buffer.from(der!))
  expect(fingerprint256.toLowerCase()).toBe(certificate.getFingerprints()[0]!.value)
})

test('they have no constructors', () => {
  for (const Interface of [RTCSctpTransport, RTCDtlsTransport, RTCIceTransport]) {
    expect(() => new (Interface as unknown as new () => unknown)()).toThrow(TypeError)
  }
})

test('an ICE restart changes parameters and keeps the objects', async () => {
  await using pair = createPair()
  await openChannel(pair)
  const { iceTransport } = pair.a.sctp!.transport
  const before = iceTransport.getLocalParameters()!
  const seen = record(iceTransport, 'gatheringstatechange')
  pair.a.restartIce()
  await negotiate(pair.a, pair.b)
  expect(pair.a.sctp!.transport.iceTransport).toBe(iceTransport)
  expect(iceTransport.getLocalParameters()).not.toEqual(before)
  await gathered(pair.a)
  expect(seen.length % 2).toBe(0)
})
