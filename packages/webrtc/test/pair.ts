import type { NodeConfiguration } from '../src/node/configuration.ts'
import type { RTCDataChannel as NodeDataChannel } from '../src/node/data-channel.ts'
import { RTCPeerConnection } from '../src/node/peer-connection.ts'

/** Two peers on this machine. Loopback addresses only: what tests send stays here. */
export interface Pair extends AsyncDisposable {
  readonly a: RTCPeerConnection
  readonly b: RTCPeerConnection
}

export const LOOPBACK: NodeConfiguration = {
  ice: { includeLoopback: true, interfaceFilter: ({ name }: { name: string }) => name === 'lo' },
}

export function createPair(a: NodeConfiguration = LOOPBACK, b: NodeConfiguration = LOOPBACK): Pair {
  const pair = { a: new RTCPeerConnection(a), b: new RTCPeerConnection(b) }
  return {
    ...pair,
    async [Symbol.asyncDispose]() {
      await Promise.all([pair.a.close(), pair.b.close()])
    },
  }
}

/** Passes candidates both ways as they come, as JSON. */
export function trickle({ a, b }: Pair): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const early: (RTCIceCandidateInit | null)[] = []
    const pass = () => {
      while (to.remoteDescription && early.length > 0) to.addIceCandidate(early.shift()).catch(() => {})
    }
    from.addEventListener('icecandidate', (event) => {
      early.push(JSON.parse(JSON.stringify((event as RTCPeerConnectionIceEvent).candidate)))
      pass()
    })
    to.addEventListener('signalingstatechange', pass)
  }
}

/** One round of offer and answer. With `complete` each description waits for all its candidates (no trickling). */
export async function negotiate(offerer: RTCPeerConnection, answerer: RTCPeerConnection, complete = false) {
  await offerer.setLocalDescription()
  if (complete) await gathered(offerer)
  await answerer.setRemoteDescription(offerer.localDescription!.toJSON())
  await answerer.setLocalDescription()
  if (complete) await gathered(answerer)
  await offerer.setRemoteDescription(answerer.localDescription!.toJSON())
}

export async function gathered(peer: RTCPeerConnection): Promise<void> {
  while (peer.iceGatheringState !== 'complete') await eventOf(peer, 'icegatheringstatechange')
}

export async function state(peer: RTCPeerConnection, wanted: RTCPeerConnectionState): Promise<void> {
  while (peer.connectionState !== wanted) await eventOf(peer, 'connectionstatechange')
}

export async function opened(channel: NodeDataChannel): Promise<void> {
  if (channel.readyState !== 'open') await eventOf(channel, 'open')
}

export async function nextChannel(peer: RTCPeerConnection): Promise<NodeDataChannel> {
  return ((await eventOf(peer, 'datachannel')) as Event & { channel: NodeDataChannel }).channel
}

export async function nextMessage(channel: NodeDataChannel): Promise<string | ArrayBuffer> {
  return ((await eventOf(channel, 'message')) as MessageEvent).data
}

export function eventOf(target: EventTarget, type: string): Promise<Event> {
  return new Promise((resolve) => target.addEventListener(type, resolve, { once: true }))
}

/** One data channel, open at both ends: announced by `a`, or negotiated when `init` says so. */
export async function openChannel(
  pair: Pair,
  init: RTCDataChannelInit = {},
  label = 'x',
): Promise<[ours: NodeDataChannel, theirs: NodeDataChannel]> {
  trickle(pair)
  const ours = pair.a.createDataChannel(label, init)
  const arrival = init.negotiated ? pair.b.createDataChannel(label, init) : nextChannel(pair.b)
  await negotiate(pair.a, pair.b)
  const theirs = await arrival
  await Promise.all([opened(ours), opened(theirs)])
  return [ours, theirs]
}

/** Resolves when everything that is due by now has happened: a few turns of the event loop. */
export async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(setImmediate)
}

/** The types of the events that a target dispatches, in order. */
export function record(target: EventTarget, ...types: string[]): string[] {
  const seen: string[] = []
  for (const type of types) target.addEventListener(type, () => seen.push(type))
  return seen
}
