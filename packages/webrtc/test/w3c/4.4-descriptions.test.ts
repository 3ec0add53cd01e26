import { afterEach, expect, test } from 'vitest'
import { RTCPeerConnection } from '../../src/node/peer-connection.ts'
import { RTCError } from '../../src/node/rtc-error.ts'
import { RTCSessionDescription } from '../../src/node/session-description.ts'
import { createPair, eventOf, LOOPBACK, negotiate, openChannel, opened, record, trickle, turns } from '../pair.ts'

/* webrtc-pc §4.3.1 signaling states, §4.4.1.2 operations chain, §4.4.1.5 setting descriptions, §4.4.2, §4.6. */

const peers: RTCPeerConnection[] = []
afterEach(() => Promise.all(peers.splice(0).map((peer) => peer.close())))

function create(withData = true): RTCPeerConnection {
  const peer = new RTCPeerConnection(LOOPBACK)
  if (withData) peer.createDataChannel('x')
  peers.push(peer)
  return peer
}

function states(peer: RTCPeerConnection): string[] {
  const seen: string[] = []
  peer.addEventListener('signalingstatechange', () => seen.push(peer.signalingState))
  return seen
}

const named = (name: string) => expect.objectContaining({ name })
const slots = ({
  currentLocalDescription,
  pendingLocalDescription,
  currentRemoteDescription,
  pendingRemoteDescription,
}: RTCPeerConnection) =>
  [currentLocalDescription, pendingLocalDescription, currentRemoteDescription, pendingRemoteDescription].map(
    (description) => description?.type ?? null,
  )

test('offer and answer: states, and which description stands where', async () => {
  const [offerer, answerer] = [create(), create(false)]
  const [ours, theirs] = [states(offerer), states(answerer)]
  const offer = await offerer.createOffer()
  expect(offer).toEqual({ type: 'offer', sdp: expect.stringContaining('m=application') })
  expect(offerer.signalingState).toBe('stable')
  await offerer.setLocalDescription(offer)
  expect(slots(offerer)).toEqual([null, 'offer', null, null])
  expect(offerer.localDescription).toBeInstanceOf(RTCSessionDescription)
  await answerer.setRemoteDescription(offer)
  expect(slots(answerer)).toEqual([null, null, null, 'offer'])
  const answer = await answerer.createAnswer()
  await answerer.setLocalDescription(answer)
  expect(slots(answerer)).toEqual(['answer', null, 'offer', null])
  await offerer.setRemoteDescription(answer)
  expect(slots(offerer)).toEqual(['offer', null, 'answer', null])
  expect(ours).toEqual(['have-local-offer', 'stable'])
  expect(theirs).toEqual(['have-remote-offer', 'stable'])
})

test('provisional answers come before the final one', async () => {
  const [offerer, answerer] = [create(), create(false)]
  const [ours, theirs] = [states(offerer), states(answerer)]
  await offerer.setLocalDescription()
  await answerer.setRemoteDescription(offerer.localDescription!)
  const { sdp } = await answerer.createAnswer()
  for (const type of ['pranswer', 'pranswer', 'answer'] as const) {
    await answerer.setLocalDescription({ type, sdp: sdp! })
    await offerer.setRemoteDescription({ type, sdp: sdp! })
  }
  expect(ours).toEqual(['have-local-offer', 'have-remote-pranswer', 'stable'])
  expect(theirs).toEqual(['have-remote-offer', 'have-local-pranswer', 'stable'])
})

test('without an argument it is what the state asks for; with a type and no text what was created last', async () => {
  const [offerer, answerer] = [create(), create(false)]
  await offerer.setLocalDescription()
  expect(offerer.localDescription!.type).toBe('offer')
  await offerer.setLocalDescription({})
  await answerer.setRemoteDescription(offerer.localDescription!)
  await answerer.setLocalDescription({ type: 'answer' })
  expect(answerer.localDescription!.type).toBe('answer')
  await offerer.setRemoteDescription(answerer.localDescription!)
  await offerer.setLocalDescription({ type: 'offer', sdp: '' })
  expect(offerer.signalingState).toBe('have-local-offer')
})

test.each([
  ['setLocalDescription', 'answer', 'stable'],
  ['setLocalDescription', 'pranswer', 'stable'],
  ['setLocalDescription', 'rollback', 'stable'],
  ['setRemoteDescription', 'answer', 'stable'],
  ['setRemoteDescription', 'pranswer', 'stable'],
  ['setRemoteDescription', 'rollback', 'stable'],
  ['setLocalDescription', 'answer', 'have-local-offer'],
  ['setLocalDescription', 'offer', 'have-remote-offer'],
  ['setRemoteDescription', 'answer', 'have-remote-offer'],
] as const)('%s(%s) in %s is an InvalidStateError, and changes nothing', async (method, type, state) => {
  const [peer, other] = [create(), create()]
  await other.setLocalDescription()
  const { sdp } = other.localDescription!
  if (state === 'have-local-offer') await peer.setLocalDescription()
  if (state === 'have-remote-offer') await peer.setRemoteDescription({ type: 'offer', sdp })
  const before = [peer.signalingState, slots(peer)]
  await expect(peer[method]({ type, sdp })).rejects.toEqual(named('InvalidStateError'))
  expect([peer.signalingState, slots(peer)]).toEqual(before)
})

test.each([
  ['nothing', undefined, TypeError],
  ['null', null, TypeError],
  ['no type', { sdp: 'v=0' }, TypeError],
  ['an unknown type', { type: 'proposal', sdp: '' }, TypeError],
] as const)('setRemoteDescription() of %s rejects', async (_, description, error) => {
  await expect(create().setRemoteDescription(description as never)).rejects.toThrow(error)
  expect(() => new RTCSessionDescription(description as never)).toThrow(error)
})

test.each([
  ['Invalid SDP', 1],
  ['', 1],
  ['v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nwhat is this\r\n', 5],
  ['v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=application\r\n', 5],
  ['v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n', 3],
])('%j is an RTCError for its line %i', async (sdp, line) => {
  const peer = create()
  const error = await peer.setRemoteDescription({ type: 'offer', sdp }).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(RTCError)
  expect(error).toMatchObject({ name: 'OperationError', errorDetail: 'sdp-syntax-error', sdpLineNumber: line })
  expect([peer.signalingState, peer.remoteDescription]).toEqual(['stable', null])
})

test.each([
  ['no fingerprint', /a=fingerprint:.*\r\n/, ''],
  ['a fingerprint by SHA-1 only', /a=fingerprint:.*/, `a=fingerprint:sha-1 ${Array(20).fill('AB').join(':')}`],
  ['a fingerprint by MD5 only', /a=fingerprint:.*/, `a=fingerprint:md5 ${Array(16).fill('AB').join(':')}`],
  ['a fingerprint that is cut short', /a=fingerprint:.*/, 'a=fingerprint:sha-256 AB:CD'],
  ['no ICE user name', /a=ice-ufrag:.*\r\n/, ''],
  ['an ICE password that is too short', /a=ice-pwd:.*/, 'a=ice-pwd:short'],
  ['an ICE password that is too long', /a=ice-pwd:.*/, `a=ice-pwd:${'x'.repeat(257)}`],
  ['data channels without a mid', /a=mid:.*\r\n/, ''],
  ['a mid and none', /a=mid:.*\r\n/, '$&a=mid\r\n'],
  ['an SCTP port of 0', /a=sctp-port:.*/, 'a=sctp-port:0'],
  ['an SCTP port that is too high', /a=sctp-port:.*/, 'a=sctp-port:65536'],
  ['an SCTP port that is none', /a=sctp-port:.*/, 'a=sctp-port:x'],
  ['a negative message size', /a=max-message-size:.*/, 'a=max-message-size:-1'],
  ['a message size that is none', /a=max-message-size:.*/, 'a=max-message-size:x'],
])('%s is an InvalidAccessError, and changes nothing', async (_, line, replacement) => {
  const [peer, other] = [create(), create()]
  const { sdp } = await other.createOffer()
  const changed = sdp!.replace(line, replacement)
  expect(changed).not.toBe(sdp)
  await expect(peer.setRemoteDescription({ type: 'offer', sdp: changed })).rejects.toEqual(named('InvalidAccessError'))
  expect([peer.signalingState, peer.remoteDescription]).toEqual(['stable', null])
  // The honest one is welcome afterwards.
  await peer.setRemoteDescription({ type: 'offer', sdp: sdp! })
})

test('names and fingerprints may stand for the whole session', async () => {
  await using pair = createPair()
  trickle(pair)
  const ours = pair.a.createDataChannel('x')
  await pair.a.setLocalDescription()
  const own: string[] = []
  const sdp = pair.a
    .localDescription!.sdp.replace(
      /^a=(ice-ufrag|ice-pwd|fingerprint|setup):.*\r\n/gm,
      (line) => `${own.push(line) && ''}`,
    )
    .replace('m=application', `${own.join('')}m=application`)
  await pair.b.setRemoteDescription({ type: 'offer', sdp })
  await pair.b.setLocalDescription()
  await pair.a.setRemoteDescription(pair.b.localDescription!)
  await opened(ours)
})

test('what applications edit is accepted; who we are is not theirs to edit', async () => {
  const peer = create()
  const { sdp } = await peer.createOffer()
  const edited = [
    sdp!.replace(/a=ice-ufrag:.*/, 'a=ice-ufrag:other'),
    sdp!.replace(/a=ice-pwd:.*/, 'a=ice-pwd:0123456789abcdef012345'),
    sdp!.replace(/(a=fingerprint:sha-256 )../, '$1' + '00'),
    sdp!.replace(/a=mid:.*/, 'a=mid:other'),
    sdp!.replace(/m=application.*/s, ''),
  ]
  for (const other of edited) {
    const attempt = peer.setLocalDescription({ type: 'offer', sdp: other })
    await expect(attempt).rejects.toEqual(named('InvalidModificationError'))
  }
  // As simple-peer does without trickling, and as many do to limit bandwidth.
  const without = sdp!.replace(/a=ice-options:trickle\s\n/g, '').replace('c=IN', 'b=AS:100\r\nc=IN')
  await peer.setLocalDescription({ type: 'offer', sdp: without })
  expect(peer.signalingState).toBe('have-local-offer')
})

test('an offer that was never created, and one of another connection', async () => {
  const [peer, other] = [create(), create()]
  const { sdp } = await other.createOffer()
  const refused = expect.objectContaining({ name: 'InvalidModificationError' })
  await expect(peer.setLocalDescription({ type: 'offer', sdp: sdp! })).rejects.toEqual(refused)
  await peer.createOffer()
  await expect(peer.setLocalDescription({ type: 'offer', sdp: sdp! })).rejects.toEqual(refused)
})

test('rollback of a local offer', async () => {
  const peer = create()
  const seen = states(peer)
  await peer.setLocalDescription()
  await peer.setLocalDescription({ type: 'rollback', sdp: '!<Invalid SDP Content>;' })
  expect([seen, slots(peer)]).toEqual([
    ['have-local-offer', 'stable'],
    [null, null, null, null],
  ])
  await peer.setLocalDescription()
  expect(peer.signalingState).toBe('have-local-offer')
})

test('rollback of a remote offer, after which either side may offer', async () => {
  await using pair = createPair()
  trickle(pair)
  const ours = pair.a.createDataChannel('x')
  const seen = states(pair.b)
  await pair.a.setLocalDescription()
  await pair.b.setRemoteDescription(pair.a.localDescription!)
  await pair.b.setRemoteDescription({ type: 'rollback' })
  expect([seen, slots(pair.b)]).toEqual([
    ['have-remote-offer', 'stable'],
    [null, null, null, null],
  ])
  // Nobody has asked for anything at that end.
  const wanted = record(pair.b, 'negotiationneeded')
  await turns()
  expect(wanted).toEqual([])
  await pair.a.setLocalDescription({ type: 'rollback' })
  await negotiate(pair.a, pair.b)
  await opened(ours)
})

test('a colliding offer rolls ours back, state by state', async () => {
  const [polite, impolite] = [create(), create()]
  const seen = states(polite)
  await Promise.all([polite.setLocalDescription(), impolite.setLocalDescription()])
  await polite.setRemoteDescription(impolite.localDescription!)
  expect(seen).toEqual(['have-local-offer', 'stable', 'have-remote-offer'])
  expect(slots(polite)).toEqual([null, null, null, 'offer'])
})

test('operations take effect in the order of the calls', async () => {
  const [offerer, answerer] = [create(), create(false)]
  const order: string[] = []
  const note = (name: string) => () => order.push(name)
  await offerer.setLocalDescription()
  await Promise.all([
    answerer.setRemoteDescription(offerer.localDescription!).then(note('remote')),
    answerer.addIceCandidate().then(note('candidate')),
    answerer.setLocalDescription().then(note('local')),
    answerer.createOffer().then(note('offer')),
  ])
  expect(order).toEqual(['remote', 'candidate', 'local', 'offer'])
})

test('a failed operation does not hold up the next', async () => {
  const peer = create()
  const failing = peer.setRemoteDescription({ type: 'answer', sdp: '' })
  const next = peer.setLocalDescription()
  await expect(failing).rejects.toEqual(named('InvalidStateError'))
  await next
})

test('what is under way when the connection closes never settles; what is called later is refused', async () => {
  const peer = create()
  const settled: string[] = []
  const pending = [peer.createOffer(), peer.setLocalDescription(), peer.addIceCandidate()]
  for (const each of pending) each.then(() => settled.push('resolved')).catch(() => settled.push('rejected'))
  await peer.close()
  await turns(20)
  expect(settled).toEqual([])
  const later = [peer.createOffer(), peer.createAnswer(), peer.setLocalDescription(), peer.addIceCandidate()]
  later.push(peer.setRemoteDescription({ type: 'rollback' }))
  for (const each of later) await expect(each).rejects.toEqual(named('InvalidStateError'))
})

test('createAnswer() needs an offer', async () => {
  const peer = create()
  await expect(peer.createAnswer()).rejects.toEqual(named('InvalidStateError'))
  await peer.setLocalDescription()
  await expect(peer.createAnswer()).rejects.toEqual(named('InvalidStateError'))
})

test('an offer of nothing at all can be made, answered, and followed by one with data', async () => {
  const [offerer, answerer] = [create(false), create(false)]
  const offer = await offerer.createOffer()
  expect(offer.sdp).not.toContain('m=')
  await offerer.setLocalDescription(offer)
  await answerer.setRemoteDescription(offer)
  await answerer.setLocalDescription()
  await offerer.setRemoteDescription(answerer.localDescription!)
  expect([offerer.sctp, answerer.sctp]).toEqual([null, null])
  const needed = eventOf(offerer, 'negotiationneeded')
  offerer.createDataChannel('x')
  await needed
})

test('canTrickleIceCandidates is what the peer says', async () => {
  const [peer, other] = [create(), create()]
  const { sdp } = await other.createOffer()
  for (const [text, expected] of [
    [sdp!, true],
    [sdp!.replaceAll(/a=ice-options:.*\r\n/g, ''), false],
  ] as const) {
    await peer.setRemoteDescription({ type: 'offer', sdp: text })
    expect(peer.canTrickleIceCandidates).toBe(expected)
    await peer.setRemoteDescription({ type: 'rollback' })
  }
})

test('audio and video that a browser offers beside data are declined, and the data connects', async () => {
  await using pair = createPair()
  trickle(pair)
  const ours = pair.a.createDataChannel('x')
  const { sdp } = await pair.a.createOffer()
  await pair.a.setLocalDescription()
  const transport = sdp!.match(/^a=(ice-ufrag|ice-pwd|fingerprint|setup):.*$/gm)!.join('\r\n')
  const audio = `m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:111 opus/48000/2\r\na=mid:audio\r\na=sendrecv\r\na=rtcp-mux\r\n${transport}\r\n`
  const mid = /a=mid:(\S+)/.exec(sdp!)![1]
  const both = sdp!
    .replace(/a=group:BUNDLE .*/, `a=group:BUNDLE audio ${mid}`)
    .replace('m=application', `${audio}m=application`)
  await pair.b.setRemoteDescription({ type: 'offer', sdp: both })
  await pair.b.setLocalDescription()
  const answer = pair.b.localDescription!.sdp
  expect(answer).toMatch(/^m=audio 0 /m)
  expect(answer).toMatch(new RegExp(`^a=group:BUNDLE ${mid}\\s*$`, 'm'))
  const dataOnly = answer.replace(/m=audio.*?(?=m=application)/s, '')
  await pair.a.setRemoteDescription({ type: 'answer', sdp: dataOnly })
  await opened(ours)
})

test('data that is offered anew on a connection that is up', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  await negotiate(pair.b, pair.a)
  await negotiate(pair.a, pair.b)
  const message = eventOf(theirs, 'message')
  ours.send('still here')
  expect(((await message) as MessageEvent).data).toBe('still here')
})
