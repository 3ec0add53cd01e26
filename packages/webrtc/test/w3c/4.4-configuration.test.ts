import { afterEach, describe, expect, test } from 'vitest'
import { RTCCertificate } from '../../src/node/certificate.ts'
import type { NodeConfiguration } from '../../src/node/configuration.ts'
import { RTCPeerConnection } from '../../src/node/peer-connection.ts'
import { createPair, eventOf, gathered, LOOPBACK, negotiate, opened, trickle } from '../pair.ts'

/* webrtc-pc §4.2 configuration, §4.4.1.1 constructor, §4.4.1.6 set the configuration. */

const peers: RTCPeerConnection[] = []
afterEach(() => Promise.all(peers.splice(0).map((peer) => peer.close())))

function create(configuration?: unknown): RTCPeerConnection {
  const peer = new RTCPeerConnection(configuration as NodeConfiguration)
  peers.push(peer)
  return peer
}

function reconfigure(configuration: unknown): RTCPeerConnection {
  const peer = create()
  peer.setConfiguration(configuration as NodeConfiguration)
  return peer
}

test('by default', () => {
  expect(RTCPeerConnection.length).toBe(0)
  for (const peer of [create(), create(null), create({}), create({ iceServers: undefined })]) {
    expect(peer.getConfiguration()).toEqual({
      iceServers: [],
      iceTransportPolicy: 'all',
      bundlePolicy: 'balanced',
      rtcpMuxPolicy: 'require',
      iceCandidatePoolSize: 0,
      ice: {},
    })
    expect(peer).toMatchObject({
      signalingState: 'stable',
      iceGatheringState: 'new',
      iceConnectionState: 'new',
      connectionState: 'new',
      localDescription: null,
      remoteDescription: null,
      canTrickleIceCandidates: null,
      sctp: null,
      onicecandidate: null,
    })
  }
})

describe.each([
  ['constructor', create],
  ['setConfiguration()', reconfigure],
] as const)('%s', (_, make) => {
  test.each([
    [{ iceServers: null }, TypeError],
    [{ iceServers: 'stun:example.net' }, TypeError],
    [{ iceServers: [null] }, TypeError],
    [{ iceServers: [undefined] }, TypeError],
    [{ iceServers: [{}] }, TypeError],
    [{ iceServers: [{ urls: 7 }] }, TypeError],
    [{ iceServers: [{ urls: [] }] }, 'SyntaxError'],
    [{ iceServers: [{ urls: '' }] }, 'SyntaxError'],
    [{ iceServers: [{ urls: ['stun:stun1.example.net', ''] }] }, 'SyntaxError'],
    [{ iceServers: [{ urls: 'relative-url' }] }, 'SyntaxError'],
    [{ iceServers: [{ urls: 'http://example.com' }] }, 'SyntaxError'],
    [{ iceServers: [{ urls: 'turn://example.org/foo?x=y' }] }, 'SyntaxError'],
    [{ iceServers: [{ urls: 'stun:example.net:65536' }] }, 'SyntaxError'],
    [{ iceServers: [{ urls: 'turn:turn.example.net' }] }, 'InvalidAccessError'],
    [{ iceServers: [{ urls: 'turn:turn.example.net', username: 'user' }] }, 'InvalidAccessError'],
    [{ iceServers: [{ urls: 'turns:turn.example.net', credential: 'cred' }] }, 'InvalidAccessError'],
    [{ iceServers: [{ urls: 'turn:a.example', username: 'ü'.repeat(255), credential: 'c' }] }, 'InvalidAccessError'],
    [{ iceTransportPolicy: 'none' }, TypeError],
    [{ bundlePolicy: 'max' }, TypeError],
    [{ rtcpMuxPolicy: 'negotiate' }, TypeError],
    [{ iceCandidatePoolSize: 256 }, TypeError],
    [{ iceCandidatePoolSize: -1 }, TypeError],
    [{ certificates: [{}] }, TypeError],
  ])('%j is refused', (configuration, error) => {
    const refusal = typeof error === 'string' ? expect.objectContaining({ name: error }) : error
    expect(() => make(configuration)).toThrow(refusal)
  })

  test('servers come back as they were given, and belong to the caller', () => {
    const iceServers = [
      { urls: 'stun:stun1.example.net' },
      { urls: ['turns:turn.example.org', 'turn:turn.example.net?transport=tcp'], username: '', credential: '' },
    ]
    const peer = make({ iceServers, iceTransportPolicy: 'relay', iceCandidatePoolSize: 255 })
    const expected = [{ urls: ['stun:stun1.example.net'] }, iceServers[1]]
    const configuration = peer.getConfiguration()
    expect(configuration).toMatchObject({
      iceServers: expected,
      iceTransportPolicy: 'relay',
      iceCandidatePoolSize: 255,
    })
    configuration.iceServers!.pop()
    configuration.iceServers![0]!.urls = 'stun:other.example.net'
    expect(peer.getConfiguration().iceServers).toEqual(expected)
  })
})

test('certificates: kept, not to be changed, and refused when expired', async () => {
  const [one, two] = await Promise.all([RTCCertificate.generate(), RTCCertificate.generate()])
  const peer = create({ certificates: [one] })
  expect(peer.getConfiguration().certificates).toEqual([one])
  peer.setConfiguration({ certificates: [one] })
  peer.setConfiguration({})
  expect(peer.getConfiguration().certificates).toEqual([one])
  const changed = expect.objectContaining({ name: 'InvalidModificationError' })
  for (const certificates of [[], [two], [one, two]])
    expect(() => peer.setConfiguration({ certificates })).toThrow(changed)
  const expired = await RTCPeerConnection.generateCertificate({
    name: 'ECDSA',
    namedCurve: 'P-256',
    expires: 0,
  } as never)
  expect(() => create({ certificates: [expired] })).toThrow(expect.objectContaining({ name: 'InvalidAccessError' }))
})

test('policies that are settled: InvalidModificationError; closed: InvalidStateError', async () => {
  const changed = expect.objectContaining({ name: 'InvalidModificationError' })
  const peer = create({ ...LOOPBACK, bundlePolicy: 'max-bundle', iceCandidatePoolSize: 1 })
  // W3C: what is not given is given by default.
  expect(() => peer.setConfiguration({})).toThrow(changed)
  peer.setConfiguration({ bundlePolicy: 'max-bundle', iceCandidatePoolSize: 2 })
  await peer.setLocalDescription()
  const later = () => peer.setConfiguration({ bundlePolicy: 'max-bundle', iceCandidatePoolSize: 3 })
  expect(later).toThrow(changed)
  expect(peer.getConfiguration().iceCandidatePoolSize).toBe(2)
  await peer.close()
  expect(() => peer.setConfiguration({})).toThrow(expect.objectContaining({ name: 'InvalidStateError' }))
})

test('servers that are set before gathering are the ones that are asked', async () => {
  const peer = create(LOOPBACK)
  peer.createDataChannel('x')
  const errors: string[] = []
  peer.onicecandidateerror = ({ url }) => errors.push(url)
  const { sdp } = await peer.createOffer()
  // Nobody answers there: RFC 5737.
  peer.setConfiguration({ iceServers: [{ urls: 'stuns:192.0.2.1' }] })
  await peer.setLocalDescription()
  await gathered(peer)
  expect(errors).toEqual(['stuns:192.0.2.1'])
  // The credentials that may have been signalled already stay.
  const ufrag = /a=ice-ufrag:\S+/
  expect(ufrag.exec(peer.localDescription!.sdp)![0]).toBe(ufrag.exec(sdp!)![0])
})

test('iceTransportPolicy relay, set before gathering: no other candidate', async () => {
  const peer = create(LOOPBACK)
  peer.createDataChannel('x')
  const candidates: unknown[] = []
  peer.onicecandidate = ({ candidate }) => candidates.push(candidate)
  peer.setConfiguration({ iceTransportPolicy: 'relay' })
  await peer.setLocalDescription()
  await gathered(peer)
  await eventOf(peer, 'icecandidate')
  expect(candidates).toEqual([null])
})

test('a change between offer and answer loses nothing of what the peer has said', async () => {
  await using pair = createPair()
  const ours = pair.a.createDataChannel('x')
  const [offerer, answerer] = [pair.a, pair.b]
  await offerer.setLocalDescription()
  await gathered(offerer)
  await answerer.setRemoteDescription(offerer.localDescription!)
  answerer.setConfiguration({ iceServers: [] })
  await answerer.setLocalDescription()
  await gathered(answerer)
  await offerer.setRemoteDescription(answerer.localDescription!)
  await opened(ours)
})

test('a change on a connection that is up does it no harm', async () => {
  await using pair = createPair()
  trickle(pair)
  const ours = pair.a.createDataChannel('x')
  await negotiate(pair.a, pair.b)
  await opened(ours)
  pair.a.setConfiguration({ iceServers: [{ urls: 'stun:192.0.2.1' }] })
  pair.a.restartIce()
  await negotiate(pair.a, pair.b)
  const message = eventOf(pair.b, 'datachannel')
  pair.a.createDataChannel('second')
  await message
})
