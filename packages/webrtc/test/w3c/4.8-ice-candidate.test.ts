import { expect, test } from 'vitest'
import { RTCPeerConnectionIceErrorEvent, RTCPeerConnectionIceEvent } from '../../src/node/events.ts'
import { RTCIceCandidate } from '../../src/node/ice-candidate.ts'

/* webrtc-pc §4.8: RTCIceCandidate, RTCPeerConnectionIceEvent, RTCPeerConnectionIceErrorEvent. */

const NULLS = {
  foundation: null,
  component: null,
  priority: null,
  address: null,
  protocol: null,
  port: null,
  type: null,
  tcpType: null,
  relatedAddress: null,
  relatedPort: null,
  relayProtocol: null,
  url: null,
}

test('the parts of a candidate line', () => {
  const candidate =
    'candidate:1905690388 1 udp 2113937151 192.168.0.1 58041 typ host generation 0 ufrag thC8 network-cost 50'
  expect(new RTCIceCandidate({ candidate, sdpMid: 'audio' })).toMatchObject({
    ...NULLS,
    candidate,
    sdpMid: 'audio',
    sdpMLineIndex: null,
    usernameFragment: 'thC8',
    foundation: '1905690388',
    component: 'rtp',
    priority: 2_113_937_151,
    address: '192.168.0.1',
    protocol: 'udp',
    port: 58_041,
    type: 'host',
  })
  const relay = 'candidate:4 2 udp 41885695 2001:db8::1 50132 typ relay raddr 192.0.2.7 rport 61665'
  expect(new RTCIceCandidate({ candidate: relay, sdpMLineIndex: 1 })).toMatchObject({
    component: 'rtcp',
    address: '2001:db8::1',
    type: 'relay',
    relatedAddress: '192.0.2.7',
    relatedPort: 61_665,
    sdpMid: null,
    sdpMLineIndex: 1,
  })
  const tcp = 'candidate:2 1 tcp 1518280447 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 9 typ host tcptype active'
  expect(new RTCIceCandidate({ candidate: tcp, sdpMid: '' })).toMatchObject({
    protocol: 'tcp',
    tcpType: 'active',
    address: '1f4712db-ea17-4bcf-a596-105139dfd8bf.local',
    sdpMid: '',
  })
})

test.each(['', 'arbitrary string[0]/\\:', 'candidate:1 1 udp', 'candidate:1 1 sctp 1 192.0.2.1 1 typ host'])(
  'nothing can be taken out of %j, and that is no error',
  (candidate) => {
    expect(new RTCIceCandidate({ candidate, sdpMid: 'x' })).toMatchObject({
      ...NULLS,
      candidate,
      usernameFragment: null,
    })
  },
)

test('neither mid nor index is a TypeError; Web IDL converts the rest', () => {
  const make = (init: unknown) => new RTCIceCandidate(init as RTCIceCandidateInit)
  for (const init of [undefined, null, {}, { candidate: '' }, { sdpMid: null, sdpMLineIndex: null }, 'x', 7]) {
    expect(() => make(init)).toThrow(TypeError)
  }
  expect(make({ sdpMid: 7, candidate: null })).toMatchObject({ sdpMid: '7', candidate: 'null' })
  expect(make({ sdpMLineIndex: 65_536 }).sdpMLineIndex).toBe(0)
  expect(make({ sdpMLineIndex: 0 })).toMatchObject({ sdpMid: null, candidate: '' })
})

test('what is given counts more than what the line says; JSON has four members', () => {
  const init = {
    candidate: 'candidate:1 1 udp 1 192.0.2.1 1 typ host ufrag line',
    sdpMid: 'x',
    sdpMLineIndex: 2,
    usernameFragment: 'given',
  }
  const candidate = new RTCIceCandidate(init)
  expect(JSON.parse(JSON.stringify(candidate))).toEqual(init)
  expect(new RTCIceCandidate(candidate.toJSON()).toJSON()).toEqual(init)
})

test('RTCPeerConnectionIceEvent', () => {
  const candidate = new RTCIceCandidate({ candidate: '', sdpMid: 'x' })
  expect(new RTCPeerConnectionIceEvent('icecandidate')).toMatchObject({
    type: 'icecandidate',
    candidate: null,
    url: null,
  })
  const event = new RTCPeerConnectionIceEvent('other', { candidate, url: 'stun:example.net' })
  expect(event).toMatchObject({ type: 'other', candidate, url: 'stun:example.net', bubbles: false, cancelable: false })
  for (const init of [{ candidate: {} }, { candidate: 'x' }, 'x']) {
    expect(() => new RTCPeerConnectionIceEvent('icecandidate', init as never)).toThrow(TypeError)
  }
})

test('RTCPeerConnectionIceErrorEvent', () => {
  const init = { address: '192.0.2.1', port: 7, url: 'stun:example.net', errorCode: 701, errorText: 'not reached' }
  expect(new RTCPeerConnectionIceErrorEvent('icecandidateerror', init)).toMatchObject(init)
  expect(new RTCPeerConnectionIceErrorEvent('icecandidateerror', { errorCode: 300 })).toMatchObject({
    address: null,
    port: null,
    url: '',
    errorCode: 300,
    errorText: '',
  })
  expect(() => new RTCPeerConnectionIceErrorEvent('icecandidateerror', {} as never)).toThrow(TypeError)
})
