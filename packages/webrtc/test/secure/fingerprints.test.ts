import { expect, test, vi } from 'vitest'
import { connect, createSecret, RTCPeerConnection } from '../../src/node/index.ts'
import { fingerprints, type SignalingMessage } from '../../src/signaling.ts'
import { relayedPair } from '../memory-relay.ts'
import { LOOPBACK } from '../pair.ts'

const SDP = 'v=0\r\na=fingerprint:sha-256 AA:BB\r\n'

/** Each is a fingerprint to one reader of SDP or another: those that split at any white space, or do not mind where. */
test.each([
  'a=fingerprint:sha-256 CC:DD',
  'a=fingerprint:sha-256  CC:DD',
  'a=fingerprint:sha-256\tCC:DD',
  'a=fingerprint:sha-256 \u00a0CC:DD',
  'a=fingerprint:\u00a0sha-512 CC:DD',
  'a=fingerprint: sha-256 CC:DD',
  'a=fingerprint:sha-256 \u2028CC:DD',
  'a=fingerprint:sha-256 AA:BB CC:DD',
  'A=FINGERPRINT:sha-256 CC:DD',
  ' a=fingerprint:sha-256 CC:DD',
])('no fingerprint hides beside the one that was announced: %j', (line) => {
  for (const end of ['\r\n', '\n', '\r']) {
    expect(fingerprints(`${SDP}${line}${end}`)).not.toBe(fingerprints(SDP))
    expect(fingerprints(`${line}${end}${SDP}`)).not.toBe(fingerprints(SDP))
  }
})

test('the same fingerprint in every section, in whatever case, is one', () => {
  expect(fingerprints(`${SDP}m=x\na=fingerprint:SHA-256 aa:bb\n`)).toBe(fingerprints(SDP))
})

test('a server that answers itself, with its own fingerprint behind that of the peer, is found out', async () => {
  const [victim] = relayedPair()
  const [, peer] = relayedPair()
  const options = { configuration: LOOPBACK as object, secret: createSecret(), relay: false }
  // The peer is asked who it is; from then on the server speaks in its name.
  const peerAttempt = connect(peer, options)
  await vi.waitFor(() => expect(peer.sent).toHaveLength(1))
  const [hello] = peer.sent as [{ hello: string }]
  const announced = /a=fingerprint:[^"]+/.exec(hello.hello)![0]
  const impostor = new RTCPeerConnection(LOOPBACK)
  impostor.createDataChannel('floe', { negotiated: true, id: 0 })
  impostor.onicecandidate = ({ candidate }) => victim.inject({ candidate })
  const answer = async (offer: RTCSessionDescriptionInit) => {
    await impostor.setRemoteDescription(offer)
    await impostor.setLocalDescription()
    const { type, sdp } = impostor.localDescription!
    const hidden = `${announced}\r\na=fingerprint:sha-256 \u00a0$1\r\n`
    victim.inject({ description: { type, sdp: sdp.replace(/a=fingerprint:sha-256 (\S+)\r\n/, hidden) } })
  }
  victim.send = (message: SignalingMessage) => {
    if ('hello' in message) victim.inject(hello)
    else if ('candidate' in message) void impostor.addIceCandidate(message.candidate).catch(() => {})
    else if ('description' in message) void answer(message.description as RTCSessionDescriptionInit)
  }
  await expect(connect(victim, options)).rejects.toMatchObject({ code: 'ERR_CONNECT_UNAUTHENTICATED' })
  peer.inject({ bye: 'enough' })
  await expect(peerAttempt).rejects.toMatchObject({ code: 'ERR_CONNECT_PEER_LEFT' })
  await impostor.close()
})
