import { afterEach, expect, test } from 'vitest'
import { RTCIceCandidate } from '../../src/node/ice-candidate.ts'
import { RTCPeerConnection } from '../../src/node/peer-connection.ts'
import { createPair, gathered, LOOPBACK, opened } from '../pair.ts'

/* webrtc-pc §4.4.2 addIceCandidate(). */

const peers: RTCPeerConnection[] = []
afterEach(() => Promise.all(peers.splice(0).map((peer) => peer.close())))

const LINE = 'candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host'
const MID = '0'

/** A connection with an offer of the peer, and its user name. */
async function offered(): Promise<{ peer: RTCPeerConnection; ufrag: string }> {
  const [peer, other] = [new RTCPeerConnection(LOOPBACK), new RTCPeerConnection(LOOPBACK)]
  peers.push(peer, other)
  other.createDataChannel('x')
  const { sdp } = await other.createOffer()
  await peer.setRemoteDescription({ type: 'offer', sdp: sdp! })
  return { peer, ufrag: /a=ice-ufrag:(\S+)/.exec(sdp!)![1]! }
}

test('before there is a remote description: InvalidStateError', async () => {
  const peer = new RTCPeerConnection(LOOPBACK)
  peers.push(peer)
  const refused = { name: 'InvalidStateError' }
  await expect(peer.addIceCandidate({ candidate: LINE, sdpMid: MID })).rejects.toMatchObject(refused)
  await expect(peer.addIceCandidate()).rejects.toMatchObject(refused)
})

test.each([
  ['by mid', { sdpMid: MID }],
  ['by index', { sdpMLineIndex: 0 }],
  ['by both', { sdpMid: MID, sdpMLineIndex: 0 }],
  ['by a mid that counts more than a wrong index', { sdpMid: MID, sdpMLineIndex: 2 }],
  ['with a null user name', { sdpMid: MID, usernameFragment: null }],
])('%s: it is in the remote description', async (_, where) => {
  const { peer } = await offered()
  await peer.addIceCandidate({ candidate: LINE, ...where })
  expect(peer.remoteDescription!.sdp).toContain(`a=${LINE}`)
})

test('as an RTCIceCandidate, with the user name that was offered', async () => {
  const { peer, ufrag } = await offered()
  await peer.addIceCandidate(new RTCIceCandidate({ candidate: LINE, sdpMid: MID, usernameFragment: ufrag }))
  expect(peer.remoteDescription!.sdp).toContain(LINE)
})

test.each([
  ['with neither', {}],
  ['with both null', { sdpMid: null, sdpMLineIndex: null }],
])('a candidate %s is a TypeError', async (_, where) => {
  const { peer } = await offered()
  await expect(peer.addIceCandidate({ candidate: LINE, ...where })).rejects.toThrow(TypeError)
  await expect(peer.addIceCandidate('candidate' as never)).rejects.toThrow(TypeError)
})

test.each([
  ['a mid that nobody has', { candidate: LINE, sdpMid: 'invalid', sdpMLineIndex: 0 }],
  ['an index that nobody has', { candidate: LINE, sdpMLineIndex: 2 }],
  ['another user name', { candidate: LINE, sdpMid: MID, usernameFragment: 'invalid' }],
  ['no candidate line', { candidate: '(Invalid) candidate \r\n string', sdpMid: MID }],
  ['half a line', { candidate: 'candidate:1 1 udp 2113929471', sdpMid: MID }],
  ['the end of candidates of nobody', { candidate: '', sdpMid: 'invalid' }],
  ['the end of candidates of another user', { candidate: '', sdpMid: MID, usernameFragment: 'invalid' }],
])('%s is an OperationError', async (_, candidate) => {
  const { peer } = await offered()
  await expect(peer.addIceCandidate(candidate)).rejects.toMatchObject({ name: 'OperationError' })
  expect(peer.remoteDescription!.sdp).not.toMatch(/a=candidate|a=end-of-candidates/)
})

test.each([
  ['nothing', undefined],
  ['null', null],
  ['an empty line', { candidate: '', sdpMid: MID }],
  ['an empty line for all', { candidate: '' }],
  ['an empty object', {}],
  ['only a mid', { sdpMid: MID }],
])('%s ends the candidates', async (_, candidate) => {
  const { peer } = await offered()
  await peer.addIceCandidate(candidate as RTCIceCandidateInit)
  expect(peer.remoteDescription!.sdp).toContain('a=end-of-candidates')
})

test('RFC 8839 §5.1: transports and types of a later standard are no errors', async () => {
  const { peer } = await offered()
  for (const line of [
    LINE.replace('udp', 'quic'),
    LINE.replace('host', 'teleport'),
    `${LINE} generation 0 network-cost 999`,
  ]) {
    await peer.addIceCandidate({ candidate: line, sdpMid: MID })
  }
})

test('candidates that come after both descriptions connect', async () => {
  await using pair = createPair()
  const ours = pair.a.createDataChannel('x')
  const without = (sdp: string) => sdp.replaceAll(/a=(candidate:.*|end-of-candidates)\r\n/g, '')
  await pair.a.setLocalDescription()
  await gathered(pair.a)
  await pair.b.setRemoteDescription({ type: 'offer', sdp: without(pair.a.localDescription!.sdp) })
  await pair.b.setLocalDescription()
  await gathered(pair.b)
  await pair.a.setRemoteDescription({ type: 'answer', sdp: without(pair.b.localDescription!.sdp) })
  for (const [from, to] of [
    [pair.a, pair.b],
    [pair.b, pair.a],
  ] as const) {
    for (const [line] of from.localDescription!.sdp.matchAll(/^a=candidate.*$/gm)) {
      await to.addIceCandidate({ candidate: line.slice(2), sdpMLineIndex: 0 })
    }
    await to.addIceCandidate()
  }
  await opened(ours)
})
