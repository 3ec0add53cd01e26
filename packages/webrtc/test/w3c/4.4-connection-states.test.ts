import { expect, test } from 'vitest'
import { createPair, eventOf, gathered, negotiate, openChannel, record, state, trickle, turns } from '../pair.ts'

/* webrtc-pc §4.3.2 to §4.3.4 states, §4.4.1.3 updating them, §4.4.2 close(). */

const EVENTS = ['connectionstatechange', 'iceconnectionstatechange', 'icegatheringstatechange', 'signalingstatechange']

test('from new to connected, every state once and in order', async () => {
  await using pair = createPair()
  trickle(pair)
  pair.a.createDataChannel('x')
  const seen: string[] = []
  for (const peer of [pair.a, pair.b]) {
    const name = peer === pair.a ? 'a' : 'b'
    peer.onconnectionstatechange = () => seen.push(`${name} ${peer.connectionState}`)
    peer.oniceconnectionstatechange = () => seen.push(`${name} ice ${peer.iceConnectionState}`)
    peer.onicegatheringstatechange = () => seen.push(`${name} gathering ${peer.iceGatheringState}`)
  }
  await negotiate(pair.a, pair.b)
  await Promise.all([state(pair.a, 'connected'), state(pair.b, 'connected'), gathered(pair.a), gathered(pair.b)])
  const of = (prefix: string) =>
    seen.filter((entry) => entry.startsWith(prefix)).map((entry) => entry.slice(prefix.length))
  for (const name of ['a', 'b']) {
    expect(of(`${name} c`)).toEqual(['onnecting', 'onnected'])
    expect(of(`${name} gathering `)).toEqual(['gathering', 'complete'])
    expect(of(`${name} ice `).slice(0, 2)).toEqual(['checking', 'connected'])
  }
})

test('the last candidate is null, and gathering is complete by then', async () => {
  await using pair = createPair()
  pair.a.createDataChannel('x')
  const seen: (string | null)[] = []
  const done = new Promise<void>((resolve) => {
    pair.a.onicecandidate = ({ candidate }) => {
      seen.push(candidate?.candidate ?? null)
      if (!candidate) expect(pair.a.iceGatheringState).toBe('complete')
      if (!candidate) resolve()
    }
  })
  const described = pair.a.setLocalDescription().then(() => seen.push('described'))
  await done
  await described
  // Whoever awaits the description can send it before its candidates.
  expect(seen[0]).toBe('described')
  expect(seen.slice(1, -1).every((line) => line!.startsWith('candidate:'))).toBe(true)
  expect(seen.length).toBeGreaterThan(2)
})

test('close() is closed at once, without an event; a second one changes nothing', async () => {
  await using pair = createPair()
  const [ours] = await openChannel(pair)
  const { sctp } = pair.a
  const { transport } = sctp!
  const seen = record(pair.a, ...EVENTS, 'icecandidate', 'negotiationneeded', 'error')
  const ended = pair.a.close()
  expect([pair.a.connectionState, pair.a.iceConnectionState, pair.a.signalingState]).toEqual(Array(3).fill('closed'))
  expect(ours.readyState).toBe('closed')
  expect(pair.a.close()).toBe(ended)
  await ended
  expect([sctp!.state, transport.state, transport.iceTransport.state]).toEqual(Array(3).fill('closed'))
  await turns()
  expect(seen).toEqual([])
  // What was described stays to be read.
  expect(pair.a.localDescription!.type).toBe('offer')
})

test('close() in a handler of the event that it causes', async () => {
  await using pair = createPair()
  const [ours] = await openChannel(pair)
  const again: Promise<void>[] = []
  ours.onclose = () => again.push(pair.a.close())
  await pair.a.close()
  expect(again).toHaveLength(1)
  await Promise.all(again)
})

test('close() in the middle of everything', async () => {
  for (const moment of [0, 1, 2, 3, 5, 8, 13, 21]) {
    const pair = createPair()
    trickle(pair)
    pair.a.createDataChannel('x')
    // Never settles where the connection closed under it.
    void negotiate(pair.a, pair.b).catch(() => {})
    await turns(moment)
    await Promise.all([pair.a.close(), pair.b.close()])
  }
})

test('the end that stays notices: its channel first, and no state is skipped', async () => {
  await using pair = createPair()
  const [, theirs] = await openChannel(pair)
  const closed = eventOf(theirs, 'close')
  await pair.a.close()
  await closed
  expect(pair.b.signalingState).toBe('stable')
})
