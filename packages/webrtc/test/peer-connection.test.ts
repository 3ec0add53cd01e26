import { expect, test } from 'vitest'
import { RTCPeerConnection } from '../src/node/peer-connection.ts'
import { createPair, eventOf, LOOPBACK, negotiate, nextMessage, opened, type Pair, state, trickle } from './pair.ts'

/** A channel that both sides know of, opened by one round of negotiation. */
async function connectPair(pair: Pair, offerer: 'a' | 'b' = 'a', complete = false) {
  const ours = pair.a.createDataChannel('x', { negotiated: true, id: 0 })
  const theirs = pair.b.createDataChannel('x', { negotiated: true, id: 0 })
  const answerer = offerer === 'a' ? 'b' : 'a'
  await negotiate(pair[offerer], pair[answerer], complete)
  await Promise.all([opened(ours), opened(theirs), state(pair.a, 'connected'), state(pair.b, 'connected')])
  return { ours, theirs }
}

test.each(['a', 'b'] as const)('opens when %s offers, with trickling candidates', async (offerer) => {
  await using pair = createPair()
  trickle(pair)
  const { ours, theirs } = await connectPair(pair, offerer)
  const next = nextMessage(theirs)
  ours.send('hello')
  expect(await next).toBe('hello')
  expect([pair.a.signalingState, pair.a.iceConnectionState]).toEqual([
    'stable',
    expect.stringMatching(/connected|completed/),
  ])
})

test('opens without trickling: the descriptions hold all candidates', async () => {
  await using pair = createPair()
  const lines: (string | undefined)[] = []
  pair.a.onicecandidate = ({ candidate }) => lines.push(candidate?.candidate)
  await connectPair(pair, 'a', true)
  const { sdp } = pair.a.localDescription!
  expect(lines.at(-1)).toBeUndefined()
  expect(lines.length).toBeGreaterThan(1)
  for (const line of lines.slice(0, -1)) expect(sdp).toContain(line!.split(' ').slice(0, 8).join(' '))
  expect(sdp).toContain('a=end-of-candidates')
})

test('20 connections at once', async () => {
  const pairs = Array.from({ length: 20 }, () => createPair())
  pairs.forEach(trickle)
  await Promise.all(pairs.map((pair) => connectPair(pair)))
  await Promise.all(pairs.map((pair) => pair[Symbol.asyncDispose]()))
}, 30_000)

test('gathering holds up nothing: a description is there at once and candidates follow', async () => {
  // 192.0.2.1 is for documentation (RFC 5737): a STUN server there never answers.
  const silent = { ...LOOPBACK, iceServers: [{ urls: 'stun:192.0.2.1' }] }
  await using pair = createPair(silent, silent)
  trickle(pair)
  const start = performance.now()
  await connectPair(pair)
  expect(performance.now() - start).toBeLessThan(2000)
})

test.each(['a', 'b'] as const)('ICE restart by %s: new credentials, same channel, no data lost', async (restarter) => {
  await using pair = createPair()
  trickle(pair)
  const { ours, theirs } = await connectPair(pair)
  const received: string[] = []
  theirs.onmessage = ({ data }) => received.push(data)
  const before = ufrags(pair)
  const needed = eventOf(pair[restarter], 'negotiationneeded')
  pair[restarter].restartIce()
  await needed
  ours.send('before')
  await negotiate(pair[restarter], pair[restarter === 'a' ? 'b' : 'a'])
  ours.send('during')
  expect(ufrags(pair).filter((ufrag) => before.includes(ufrag))).toEqual([])
  await Promise.all([state(pair.a, 'connected'), state(pair.b, 'connected')])
  ours.send('after')
  while (received.length < 3) await nextMessage(theirs)
  expect(received).toEqual(['before', 'during', 'after'])
  // Nobody wants to negotiate because of it.
  let wanted = 0
  pair.a.onnegotiationneeded = pair.b.onnegotiationneeded = () => wanted++
  await new Promise(setImmediate)
  expect([wanted, pair.a.signalingState, pair.b.signalingState]).toEqual([0, 'stable', 'stable'])
})

test('a wrong ICE password never connects', async () => {
  const impatient = { ...LOOPBACK, ice: { ...LOOPBACK.ice, timing: { pacTimer: 500 } } }
  await using pair = createPair(impatient as typeof LOOPBACK, impatient as typeof LOOPBACK)
  trickle(pair)
  pair.a.createDataChannel('x')
  const states: string[] = []
  for (const peer of [pair.a, pair.b]) peer.onconnectionstatechange = () => states.push(peer.connectionState)
  await pair.a.setLocalDescription()
  const { type, sdp } = pair.a.localDescription!
  await pair.b.setRemoteDescription({ type, sdp: sdp.replace(/a=ice-pwd:.*/, 'a=ice-pwd:0123456789abcdef012345') })
  await pair.b.setLocalDescription()
  await pair.a.setRemoteDescription(pair.b.localDescription!.toJSON())
  await new Promise((resolve) => setTimeout(resolve, 1500))
  expect(states).not.toContain('connected')
  expect(pair.b.sctp!.state).toBe('connecting')
})

test('an offer that collides is rolled back by the one who takes the other', async () => {
  await using pair = createPair()
  trickle(pair)
  const ours = pair.a.createDataChannel('x', { negotiated: true, id: 0 })
  const theirs = pair.b.createDataChannel('x', { negotiated: true, id: 0 })
  await Promise.all([pair.a.setLocalDescription(), pair.b.setLocalDescription()])
  await pair.b.setRemoteDescription(pair.a.localDescription!.toJSON())
  expect(pair.b.signalingState).toBe('have-remote-offer')
  await pair.b.setLocalDescription()
  await pair.a.setRemoteDescription(pair.b.localDescription!.toJSON())
  await Promise.all([opened(ours), opened(theirs)])
})

test('an explicit rollback asks to negotiate again', async () => {
  await using pair = createPair()
  pair.a.createDataChannel('x')
  await eventOf(pair.a, 'negotiationneeded')
  await pair.a.setLocalDescription()
  const again = eventOf(pair.a, 'negotiationneeded')
  await pair.a.setLocalDescription({ type: 'rollback' })
  await again
  expect([pair.a.signalingState, pair.a.localDescription]).toEqual(['stable', null])
})

test('candidates as browsers send them: JSON, end of candidates in three ways, mDNS names, foreign extensions', async () => {
  await using pair = createPair()
  pair.a.createDataChannel('x')
  const mid = { sdpMid: '0', sdpMLineIndex: 0 }
  await expect(pair.b.addIceCandidate(null)).rejects.toMatchObject({ name: 'InvalidStateError' })
  await pair.a.setLocalDescription()
  await pair.b.setRemoteDescription(pair.a.localDescription!.toJSON())
  const name = '1f4712db-ea17-4bcf-a596-105139dfd8bf.local'
  const candidate = `candidate:1 1 udp 2113937151 ${name} 51000 typ host generation 0 network-cost 999`
  await pair.b.addIceCandidate({ candidate, ...mid, usernameFragment: null })
  await pair.b.addIceCandidate({ candidate: '', ...mid })
  await pair.b.addIceCandidate(null)
  await pair.b.addIceCandidate()
  expect(pair.b.remoteDescription!.sdp).toContain(name)
  await expect(pair.b.addIceCandidate({ candidate, sdpMid: 'none' })).rejects.toMatchObject({ name: 'OperationError' })
})

test('statistics name the selected pair', async () => {
  await using pair = createPair()
  trickle(pair)
  await connectPair(pair)
  const stats = [...((await pair.a.getStats()) as unknown as Map<string, Record<string, unknown>>).values()]
  const transport = stats.find(({ type }) => type === 'transport')!
  const selected = stats.find(({ id }) => id === transport.selectedCandidatePairId)!
  expect(transport).toMatchObject({ dtlsState: 'connected', tlsVersion: 'FEFD' })
  expect(selected).toMatchObject({ type: 'candidate-pair', state: 'succeeded', nominated: true })
  expect(selected.currentRoundTripTime).toBeLessThan(1)
  const types = [selected.localCandidateId, selected.remoteCandidateId].map(
    (id) => stats.find((s) => s.id === id)?.type,
  )
  expect(types).toEqual(['local-candidate', 'remote-candidate'])
  expect(stats.filter(({ type }) => type === 'data-channel')).toHaveLength(1)
})

test('what does not fit is refused by name', async () => {
  const peer = new RTCPeerConnection(LOOPBACK)
  await expect(peer.createAnswer()).rejects.toMatchObject({ name: 'InvalidStateError' })
  await expect(peer.setRemoteDescription({ type: 'answer', sdp: 'v=0' })).rejects.toThrow()
  expect(() => peer.createDataChannel('x', { negotiated: true })).toThrow(TypeError)
  expect(() => new RTCPeerConnection({ certificates: [{} as never] })).toThrow(TypeError)
  await peer.close()
  expect([peer.connectionState, peer.iceConnectionState, peer.signalingState]).toEqual(['closed', 'closed', 'closed'])
  await expect(peer.setLocalDescription()).rejects.toMatchObject({ name: 'InvalidStateError' })
})

test('a certificate can serve two connections; without one each has its own', async () => {
  const certificate = await RTCPeerConnection.generateCertificate({ name: 'ECDSA', namedCurve: 'P-256' } as never)
  const withIt = { ...LOOPBACK, certificates: [certificate] }
  const peers = [withIt, withIt, LOOPBACK, LOOPBACK].map((configuration) => new RTCPeerConnection(configuration))
  const prints: string[] = []
  for (const peer of peers) {
    peer.createDataChannel('x')
    prints.push(/a=fingerprint:sha-256 (\S+)/.exec((await peer.createOffer()).sdp!)![1]!.toLowerCase())
    await peer.close()
  }
  expect(prints.slice(0, 2)).toEqual(Array(2).fill(certificate.getFingerprints()[0]!.value))
  expect(new Set(prints).size).toBe(3)
})

test('close() frees every socket and timer', async () => {
  const before = handles()
  const pair = createPair()
  trickle(pair)
  await connectPair(pair)
  expect(handles().sockets).toBeGreaterThan(before.sockets)
  await pair[Symbol.asyncDispose]()
  await expect.poll(() => handles().sockets, { timeout: 200 }).toBe(before.sockets)
  // werift's handshake looks at the clock once more, half a second after each of its flights.
  await expect.poll(() => handles().timers, { timeout: 3000 }).toBeLessThanOrEqual(before.timers)
})

function handles(): { sockets: number; timers: number } {
  const active = process.getActiveResourcesInfo()
  const count = (name: string) => active.filter((resource) => resource === name).length
  return { sockets: count('UDPWrap') + count('UDPSocketWrap'), timers: count('Timeout') }
}

function ufrags({ a, b }: Pair): string[] {
  return [a, b].map((peer) => /a=ice-ufrag:(\S+)/.exec(peer.localDescription!.sdp)![1]!)
}
