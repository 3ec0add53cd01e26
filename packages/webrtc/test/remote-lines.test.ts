import { IceTransport } from '@floe/ice/node'
import { afterEach, expect, test, vi } from 'vitest'
import { RemoteLines } from '../src/node/remote-lines.ts'
import { createPair, gathered, openChannel } from './pair.ts'

afterEach(() => vi.restoreAllMocks())

const LINE =
  'candidate:5 1 udp 12582143 192.0.2.9 3479 typ relay raddr 0.0.0.0 rport 9 relay-protocol tls network-cost 10'

test('what a peer’s line says beside the usual reaches ICE, trickled or in the description', async () => {
  const added = vi.spyOn(IceTransport.prototype, 'addRemoteCandidate')
  await using pair = createPair()
  const { a, b } = pair
  a.createDataChannel('x')
  await a.setLocalDescription()
  const offer = a.localDescription!.toJSON()
  const other = LINE.replace('3479', '3480')
  await b.setRemoteDescription({ type: 'offer', sdp: `${offer.sdp}a=${LINE}\r\n` })
  await b.addIceCandidate({ candidate: other, sdpMid: '0' })
  await b.setLocalDescription()
  const lines = added.mock.calls.map(([candidate]) => candidate?.candidate)
  expect(lines).toContain(LINE)
  expect(lines).toContain(other)
})

test('descriptions say of our candidates what their events say, extensions included, and nothing of peer-reflexive ones', async () => {
  await using pair = createPair()
  const { a, b } = pair
  const told = [a, b].map((peer) => {
    const lines: string[] = []
    peer.addEventListener('icecandidate', (event) => {
      const { candidate } = event as RTCPeerConnectionIceEvent
      if (candidate?.candidate) lines.push(candidate.candidate)
    })
    return lines
  })
  await openChannel(pair)
  await Promise.all([gathered(a), gathered(b)])
  const linesOf = ({ sdp }: RTCSessionDescription) =>
    [...sdp.matchAll(/^a=(candidate:.*)\r$/gm)].map(([, line]) => line!)
  const lines = [a, b].map(({ localDescription }) => linesOf(localDescription!))
  expect(lines).toEqual(told)
  expect(lines.flat().filter((line) => / network-(id|cost) /.test(line)).length).toBeGreaterThan(0)
  expect(lines.flat().filter((line) => / typ prflx /.test(line))).toEqual([])
})

test('lines that are never asked for do not add up', () => {
  const lines = new RemoteLines()
  for (let port = 1; port <= 200; port++) lines.remember(LINE.replace('3479', String(port)))
  const written = (port: number) => `5 1 udp 12582143 192.0.2.9 ${port} typ relay`
  expect(lines.take(written(200))).toBe(LINE.replace('3479', '200'))
  expect(lines.take(written(200))).toBe(`candidate:${written(200)}`)
  expect(lines.take(written(100))).toBe(`candidate:${written(100)}`)
})
