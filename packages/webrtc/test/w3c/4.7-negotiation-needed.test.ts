import { afterEach, expect, test } from 'vitest'
import { RTCPeerConnection } from '../../src/node/peer-connection.ts'
import { createPair, eventOf, LOOPBACK, negotiate, record, state, trickle, turns } from '../pair.ts'

/* webrtc-pc §4.7: when negotiationneeded fires. */

const peers: RTCPeerConnection[] = []
afterEach(() => Promise.all(peers.splice(0).map((peer) => peer.close())))

function create(): RTCPeerConnection {
  const peer = new RTCPeerConnection(LOOPBACK)
  peers.push(peer)
  return peer
}

test('the first data channel asks, in a task of its own; the second does not', async () => {
  const peer = create()
  peer.createDataChannel('first')
  const seen = record(peer, 'negotiationneeded')
  expect(seen).toEqual([])
  await turns()
  expect(seen).toHaveLength(1)
  peer.createDataChannel('second')
  await turns()
  expect(seen).toHaveLength(1)
})

test('not while something is under way, nor outside of stable; then it does', async () => {
  const [peer, other] = [create(), create()]
  await peer.setLocalDescription()
  const seen = record(peer, 'negotiationneeded')
  peer.createDataChannel('x')
  await turns()
  expect([peer.signalingState, seen]).toEqual(['have-local-offer', []])
  await other.setRemoteDescription(peer.localDescription!)
  await other.setLocalDescription()
  await peer.setRemoteDescription(other.localDescription!)
  await turns()
  expect(seen).toHaveLength(1)
})

test('not when the offer was made before the event could fire', async () => {
  const peer = create()
  const seen = record(peer, 'negotiationneeded')
  peer.createDataChannel('x')
  await peer.setLocalDescription()
  await turns()
  expect(seen).toEqual([])
})

test('again after a rollback, since nothing has been settled', async () => {
  const peer = create()
  peer.createDataChannel('x')
  await eventOf(peer, 'negotiationneeded')
  await peer.setLocalDescription()
  const seen = record(peer, 'negotiationneeded')
  await peer.setLocalDescription({ type: 'rollback' })
  await turns()
  expect(seen).toHaveLength(1)
})

test('not at the end that answers, and not once data has been agreed on', async () => {
  await using pair = createPair()
  trickle(pair)
  pair.a.createDataChannel('x')
  const seen = [record(pair.a, 'negotiationneeded'), record(pair.b, 'negotiationneeded')]
  await turns()
  await negotiate(pair.a, pair.b)
  pair.b.createDataChannel('mine')
  pair.a.createDataChannel('another')
  await turns()
  expect(seen).toEqual([['negotiationneeded'], []])
})

test('an answer that declines data leaves it needed', async () => {
  const peer = create()
  peer.createDataChannel('x')
  await peer.setLocalDescription()
  const other = create()
  await other.setRemoteDescription(peer.localDescription!)
  const { sdp } = await other.createAnswer()
  const declined = sdp!.replace(/m=application \d+/, 'm=application 0').replace(/a=group:BUNDLE.*\r\n/, '')
  const seen = record(peer, 'negotiationneeded')
  await peer.setRemoteDescription({ type: 'answer', sdp: declined })
  await turns()
  expect([peer.sctp, peer.signalingState, seen]).toEqual([null, 'stable', ['negotiationneeded']])
})

test('restartIce(): nothing to restart, nothing to ask', async () => {
  const peer = create()
  const seen = record(peer, 'negotiationneeded')
  peer.restartIce()
  await turns()
  expect(seen).toEqual([])
})

test('restartIce(): asks once, is settled by the answer, and survives a rollback', async () => {
  await using pair = createPair()
  trickle(pair)
  pair.a.createDataChannel('x')
  await negotiate(pair.a, pair.b)
  await Promise.all([state(pair.a, 'connected'), state(pair.b, 'connected')])
  const seen = record(pair.a, 'negotiationneeded')
  const ufrag = () => /a=ice-ufrag:(\S+)/.exec(pair.a.localDescription!.sdp)![1]
  const before = ufrag()
  pair.a.restartIce()
  pair.a.restartIce()
  await turns()
  expect(seen).toHaveLength(1)
  await pair.a.setLocalDescription()
  expect(ufrag()).not.toBe(before)
  await pair.a.setLocalDescription({ type: 'rollback' })
  await turns()
  expect(seen).toHaveLength(2)
  await negotiate(pair.a, pair.b)
  await turns()
  expect([ufrag() === before, seen.length]).toEqual([false, 2])
  await Promise.all([state(pair.a, 'connected'), state(pair.b, 'connected')])
})

test('createOffer({ iceRestart }) needs no event', async () => {
  await using pair = createPair()
  trickle(pair)
  pair.a.createDataChannel('x')
  await negotiate(pair.a, pair.b)
  const plain = await pair.a.createOffer()
  const restarting = await pair.a.createOffer({ iceRestart: true })
  const ufrag = (sdp: string) => /a=ice-ufrag:(\S+)/.exec(sdp)![1]
  expect(ufrag(plain.sdp!)).toBe(ufrag(pair.a.localDescription!.sdp))
  expect(ufrag(restarting.sdp!)).not.toBe(ufrag(plain.sdp!))
})

test('never after close()', async () => {
  const peer = create()
  const seen = record(peer, 'negotiationneeded')
  peer.createDataChannel('x')
  await peer.close()
  peer.restartIce()
  await turns()
  expect(seen).toEqual([])
})
