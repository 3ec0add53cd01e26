import { expect, test } from 'vitest'
import { RTCCertificate } from '../../src/node/certificate.ts'
import type { RTCPeerConnection } from '../../src/node/peer-connection.ts'
import type { Stats } from '../../src/node/stats.ts'
import { createPair, eventOf, LOOPBACK, nextMessage, openChannel, state } from '../pair.ts'

/* webrtc-pc §8, and the dictionaries of webrtc-stats for data channels. */

async function all(peer: RTCPeerConnection, type: string): Promise<Stats[]> {
  return [...(await peer.getStats()).values()].filter((stats) => stats.type === type)
}

test('before anything has happened', async () => {
  await using pair = createPair()
  const report = await pair.a.getStats()
  expect(report).toBeInstanceOf(Map)
  expect([...report.values()]).toEqual([
    { id: 'P', type: 'peer-connection', timestamp: expect.any(Number), dataChannelsOpened: 0, dataChannelsClosed: 0 },
  ])
  expect(pair.a.getStats.length).toBe(0)
  await expect(pair.a.getStats({} as never)).rejects.toMatchObject({ name: 'InvalidAccessError' })
  await pair.a.getStats(null)
})

test('the mandatory members of webrtc-pc §8.6, with the values of this connection', async () => {
  const certificate = await RTCCertificate.generate()
  await using pair = createPair({ ...LOOPBACK, certificates: [certificate] })
  const [ours, theirs] = await openChannel(pair, { protocol: 'v1' }, 'chat')
  await Promise.all([state(pair.a, 'connected'), state(pair.b, 'connected')])
  const next = nextMessage(theirs)
  ours.send('12345')
  await next
  const report = await pair.a.getStats()
  for (const [id, stats] of report) {
    expect(stats.id).toBe(id)
    expect(Math.abs(stats.timestamp - Date.now())).toBeLessThan(5000)
  }
  const [transport] = await all(pair.a, 'transport')
  expect(transport).toMatchObject({
    iceRole: 'controlling',
    iceState: expect.stringMatching(/connected|completed/),
    iceLocalUsernameFragment: pair.a.sctp!.transport.iceTransport.getLocalParameters()!.usernameFragment,
    dtlsState: 'connected',
    dtlsRole: 'server',
    tlsVersion: 'FEFD',
    dtlsCipher: 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
    selectedCandidatePairChanges: expect.any(Number),
  })
  for (const count of ['packetsSent', 'packetsReceived', 'bytesSent', 'bytesReceived']) {
    expect(transport![count], count).toBeGreaterThan(0)
  }
  const selected = report.get(transport!.selectedCandidatePairId as string)!
  expect(selected).toMatchObject({
    type: 'candidate-pair',
    transportId: transport!.id,
    state: 'succeeded',
    nominated: true,
    currentRoundTripTime: expect.any(Number),
    totalRoundTripTime: expect.any(Number),
    responsesReceived: expect.any(Number),
  })
  // Seconds.
  expect(selected.currentRoundTripTime).toBeLessThan(1)
  for (const side of ['local', 'remote']) {
    expect(report.get(selected[`${side}CandidateId`] as string)).toMatchObject({
      type: `${side}-candidate`,
      transportId: transport!.id,
      address: expect.stringMatching(/^(127\.0\.0\.1|::1)$/),
      port: expect.any(Number),
      protocol: 'udp',
      candidateType: expect.stringMatching(/host|prflx/),
      priority: expect.any(Number),
      foundation: expect.any(String),
    })
  }
  expect(report.get(transport!.localCertificateId as string)).toMatchObject({
    type: 'certificate',
    fingerprint: certificate.getFingerprints()[0]!.value.toUpperCase(),
    fingerprintAlgorithm: 'sha-256',
    base64Certificate: expect.stringMatching(/^MII/),
  })
  expect(report.get(transport!.remoteCertificateId as string)).toMatchObject({ type: 'certificate' })
})

test('data channels: how many came and went, and what passed through those that are there', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair, { protocol: 'v1' }, 'chat')
  for (const message of ['12345', new Uint8Array(7)]) {
    const next = nextMessage(theirs)
    ours.send(message)
    await next
  }
  const [sent] = await all(pair.a, 'data-channel')
  expect(sent).toMatchObject({
    label: 'chat',
    protocol: 'v1',
    dataChannelIdentifier: ours.id,
    state: 'open',
    messagesSent: 2,
    bytesSent: 12,
    messagesReceived: 0,
    bytesReceived: 0,
  })
  const [received] = await all(pair.b, 'data-channel')
  expect(received).toMatchObject({ messagesReceived: 2, bytesReceived: 12, messagesSent: 0 })
  expect((await all(pair.a, 'peer-connection'))[0]).toMatchObject({ dataChannelsOpened: 1, dataChannelsClosed: 0 })
  ours.close()
  await eventOf(ours, 'close')
  for (const peer of [pair.a, pair.b]) {
    expect((await all(peer, 'peer-connection'))[0]).toMatchObject({ dataChannelsOpened: 1, dataChannelsClosed: 1 })
  }
  expect(await all(pair.a, 'data-channel')).toEqual([])
})

test('the same thing has the same id in the next report', async () => {
  await using pair = createPair()
  await openChannel(pair)
  await state(pair.a, 'connected')
  const ids = async () => [...(await pair.a.getStats()).keys()].sort()
  const before = await ids()
  expect(await ids()).toEqual(before)
  expect(new Set(before).size).toBe(before.length)
})

test('an ICE restart loses neither the pair in use nor what has been counted', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  const next = nextMessage(theirs)
  ours.send('before')
  await next
  const before = (await all(pair.a, 'transport'))[0]!
  const after = async () => {
    const report = await pair.a.getStats()
    const [transport] = [...report.values()].filter(({ type }) => type === 'transport')
    expect(report.get(transport!.selectedCandidatePairId as string)?.type).toBe('candidate-pair')
    for (const count of ['packetsSent', 'bytesSent', 'packetsReceived', 'bytesReceived'] as const) {
      expect(transport![count], count).toBeGreaterThanOrEqual(before[count] as number)
    }
    return transport!
  }
  await pair.a.setLocalDescription(await pair.a.createOffer({ iceRestart: true }))
  await after()
  await pair.b.setRemoteDescription(pair.a.localDescription!)
  await pair.b.setLocalDescription()
  await pair.a.setRemoteDescription(pair.b.localDescription!)
  await expect
    .poll(async () => (await after()).selectedCandidatePairId, { timeout: 10_000 })
    .not.toBe(before.selectedCandidatePairId)
})
