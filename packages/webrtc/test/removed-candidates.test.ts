/** Candidates that go are told to the peer, which W3C has no word for. */
import { createSocket, Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { connect, IceCandidatesRemovedEvent, RTCPeerConnection } from '../src/node/index.ts'
import type { SignalingMessage } from '../src/signaling.ts'
import { MemorySignaling } from './channel.ts'
import { createPair, eventOf, nextMessage, openChannel, type Pair } from './pair.ts'

/** One address and no TCP: a socket is one candidate. */
const UDP = {
  ice: { includeLoopback: true, tcp: false, interfaceFilter: ({ ip }: { ip: string }) => ip === '127.0.0.1' },
}

const thieves: Socket[] = []
afterEach(() => {
  for (const thief of thieves.splice(0)) thief.close()
})

test('an event tells which are gone, and the other end leaves them', async () => {
  await using pair = createPair(UDP, UDP)
  const [ours, theirs] = await openChannel(pair)
  const [before] = portsOf(pair.a)
  const told = eventOf(pair.a, 'icecandidatesremoved')
  const handled = new Promise((resolve) => {
    pair.a.onicecandidatesremoved = resolve
  })
  await loseSocket(before!)
  const event = await told
  expect(event).toBeInstanceOf(IceCandidatesRemovedEvent)
  expect(await handled).toBe(event)
  const { candidates } = event as IceCandidatesRemovedEvent
  expect(candidates.map(({ port, sdpMid, type }) => [port, sdpMid, type])).toEqual([[before, '0', 'host']])
  expect(portsOf(pair.a)).not.toContain(before)
  await pair.b.removeIceCandidates(candidates.map((candidate) => candidate.toJSON()))
  expect(await remotePortsOf(pair.b)).not.toContain(before)
  const message = nextMessage(theirs)
  ours.send('still here')
  expect(await message).toBe('still here')
})

test('what is no candidate is refused, and one that nobody knows changes nothing', async () => {
  await using pair = createPair(UDP, UDP)
  const [ours, theirs] = await openChannel(pair)
  for (const wrong of [undefined, null, 7, [7], 'x']) {
    await expect(pair.b.removeIceCandidates(wrong as never)).rejects.toThrow(TypeError)
  }
  await pair.b.removeIceCandidates([{ candidate: 'candidate:1 1 udp 1 192.0.2.1 9 typ host' }, { candidate: '?' }, {}])
  const message = nextMessage(theirs)
  ours.send('x')
  expect(await message).toBe('x')
})

test('connect() tells its peer, which leaves them at once', async () => {
  const { signaling, made, ends } = await connected()
  const [before] = portsOf(made[0]!)
  await loseSocket(before!)
  await expect.poll(() => removals(signaling[0]!), POLL).toHaveLength(1)
  const [{ candidate, removed }] = removals(signaling[0]!) as [Removal]
  expect(removed).toEqual([expect.objectContaining({ candidate: expect.stringContaining(` ${before} typ host`) })])
  expect(candidate).toEqual(removed[0])
  await expect.poll(() => remotePortsOf(made[1]!), POLL).not.toContain(before)
  await talk(ends)
  await Promise.all(ends.map((end) => end.close()))
})

test('a peer that does not know the word, or got it from an old server without, goes on', async () => {
  const { signaling, made, ends } = await connected()
  const [candidate] = (signaling[1]!.sent as Removal[]).flatMap((message) => message.candidate ?? [])
  // Like a browser.
  Object.defineProperty(made[0]!, 'removeIceCandidates', { value: undefined })
  signaling[0]!.inject({ candidate, removed: [candidate] })
  signaling[0]!.inject({ candidate })
  signaling[1]!.inject({ candidate: null, removed: [7, null] })
  await talk(ends)
  expect(await remotePortsOf(made[0]!)).toEqual(portsOf(made[1]!))
  await Promise.all(ends.map((end) => end.close()))
})

test('what is no list ends the connection, like all that is no signaling', async () => {
  const { signaling, ends } = await connected()
  signaling[1]!.inject({ candidate: null, removed: 'all' })
  expect(await ends[1]!.closed).toMatch(/no signaling message/)
  await ends[0]!.close()
})

const POLL = { timeout: 5_000, interval: 10 }

type Removal = { candidate: RTCIceCandidateInit; removed: RTCIceCandidateInit[] }

function removals({ sent }: MemorySignaling): Removal[] {
  return sent.filter((message: SignalingMessage): message is Removal => 'removed' in message)
}

/** Both ends of a connect() without a relay, and the peer connections below. */
async function connected() {
  const signaling = MemorySignaling.pair()
  const made: Pair['a'][] = []
  const connecting = signaling.map((end, index) => {
    const onpeerconnection = (made_: unknown) => void (made[index] = made_ as Pair['a'])
    return connect(end, { configuration: UDP as object, relay: false, onpeerconnection })
  })
  const ends = await Promise.all(connecting)
  expect(made.every((one) => one instanceof RTCPeerConnection)).toBe(true)
  return { signaling, made, ends }
}

async function talk(ends: Awaited<ReturnType<typeof connected>>['ends']): Promise<void> {
  for (const [from, to] of [ends, ends.toReversed()] as const) {
    const heard = new Promise((resolve) => (to!.onmessage = resolve))
    await from!.send('hello')
    expect(await heard).toBe('hello')
  }
}

function portsOf({ localDescription }: Pair['a']): number[] {
  const lines = localDescription!.sdp.matchAll(/^a=candidate:\S+ 1 udp \d+ \S+ (\d+) /gm)
  return [...new Set([...lines].map(([, port]) => Number(port)))]
}

async function remotePortsOf(peer: Pair['a']): Promise<number[]> {
  const stats = [...(await peer.getStats()).values()] as { type: string; port?: number }[]
  return stats.filter(({ type }) => type === 'remote-candidate').map(({ port }) => port!)
}

/** Closes the socket under its owner and takes its port, so that another one has to be gathered. */
async function loseSocket(port: number): Promise<void> {
  const { _getActiveHandles: handles } = process as unknown as { _getActiveHandles(): unknown[] }
  const sockets = handles.call(process).filter((handle): handle is Socket => handle instanceof Socket)
  sockets.find((socket) => socket.address().port === port)!.close()
  const thief = createSocket('udp4')
  thieves.push(thief)
  thief.bind(port, '127.0.0.1')
  await once(thief, 'listening')
}
