import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { DataStream, OutgoingMessage } from '../src/node/data-stream.ts'
import { type Association, type AssociationEvents, DataStreams } from '../src/node/data-streams.ts'
import { ACK, type ChannelParameters, formatOpen, Ppid } from '../src/node/dcep.ts'
import { RTCError } from '../src/node/rtc-error.ts'

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'Date'] }))
afterEach(() => vi.useRealTimers())

const RELIABLE: ChannelParameters = {
  label: 'x',
  protocol: '',
  ordered: true,
  maxRetransmits: null,
  maxPacketLifeTime: null,
}

/** SCTP as data channels see it, with every step in the hands of the test. */
class ScriptedAssociation implements Association {
  isConnected = false
  maxChannels: number | null = null
  events: AssociationEvents | undefined
  readonly sent: { streamId: number; message: OutgoingMessage }[] = []
  readonly resets: number[] = []
  readonly outstanding = new Set<number>()
  /** Set: send() does not resolve before release(). */
  congested = false
  #waiting: (() => void)[] = []

  async send(streamId: number, message: OutgoingMessage): Promise<void> {
    this.sent.push({ streamId, message })
    this.outstanding.add(streamId)
    if (this.congested) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }
  release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
  hasOutstanding(streamId: number): boolean {
    return this.outstanding.has(streamId)
  }
  acknowledge(streamId: number): void {
    this.outstanding.delete(streamId)
    this.events!.onacknowledged()
  }
  reset(streamId: number): void {
    this.resets.push(streamId)
  }
  connect(): void {
    this.isConnected = true
    this.events!.onconnect()
  }
}

function create() {
  const association = new ScriptedAssociation()
  const announced: DataStream[] = []
  const log: string[] = []
  const watch = (stream: DataStream) => {
    stream.handlers = {
      onopen: () => log.push(`open ${stream.id}`),
      onmessage: (data) => log.push(`message ${data}`),
      onsent: (size) => log.push(`sent ${size}`),
      onclosing: () => log.push(`closing ${stream.id}`),
      onclose: (error) => log.push(`close ${stream.id}${error ? ` ${error.errorDetail}` : ''}`),
    }
    return stream
  }
  const streams = new DataStreams(association, (stream) => {
    announced.push(watch(stream))
    log.push(`announced ${stream.id} ${stream.state}`)
  })
  const take = () => association.sent.splice(0).map(({ message }) => message.data.toString())
  return { association, streams, announced, log, watch, take }
}

/** Lets promises settle. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

test('ids wait for the DTLS roles: the client takes even ones, the server odd ones', () => {
  for (const [isClient, ids] of [
    [true, [0, 2, 6]],
    [false, [1, 3, 5]],
  ] as const) {
    const { streams } = create()
    const early = [streams.create(RELIABLE), streams.create(RELIABLE)]
    streams.create(RELIABLE, 4)
    expect(early.map(({ id }) => id)).toEqual([null, null])
    streams.assignIds(isClient)
    streams.assignIds(!isClient)
    const late = streams.create(RELIABLE)
    expect([...early, late].map(({ id }) => id)).toEqual(ids)
  }
})

test('an id that is taken is refused, and is free again after the channel', async () => {
  const { streams, association } = create()
  const first = streams.create(RELIABLE, 5)
  expect(() => streams.create(RELIABLE, 5)).toThrow(expect.objectContaining({ name: 'OperationError' }))
  first.close()
  await settle()
  association.connect()
  expect(streams.create(RELIABLE, 5).id).toBe(5)
})

test('ids end where the peer takes no more streams: those before are failures, those after are refused', () => {
  const { streams, association, watch, log } = create()
  const early = [1, 2, 3].map(() => watch(streams.create(RELIABLE)))
  watch(streams.create(RELIABLE, 7))
  streams.assignIds(true)
  association.maxChannels = 4
  association.connect()
  expect(early.map(({ state }) => state)).toEqual(['open', 'open', 'closed'])
  expect(log).toEqual(
    expect.arrayContaining(['open 0', 'open 2', 'close 4 data-channel-failure', 'close 7 data-channel-failure']),
  )
  const refusal = expect.objectContaining({ name: 'OperationError' })
  expect(() => streams.create(RELIABLE)).toThrow(refusal)
  expect(() => streams.create(RELIABLE, 4)).toThrow(refusal)
  expect(streams.create(RELIABLE, 3).id).toBe(3)
})

test('with the last id gone the next channel is refused', () => {
  const { streams } = create()
  streams.assignIds(true)
  for (let id = 0; id <= 65_534; id += 2) streams.create(RELIABLE, id)
  expect(() => streams.create(RELIABLE)).toThrow(expect.objectContaining({ name: 'OperationError' }))
})

test('RFC 8832 §6: open at once, in order until the peer has acknowledged', async () => {
  const { association, streams, log, watch, take } = create()
  const stream = watch(streams.create({ ...RELIABLE, ordered: false, maxRetransmits: 0 }))
  streams.assignIds(true)
  association.connect()
  expect(log).toEqual(['open 0'])
  stream.send('early')
  await settle()
  const [open, early] = association.sent
  expect(open!.message).toMatchObject({ ppid: Ppid.dcep, ordered: true, maxRetransmits: null })
  expect(open!.message.data).toEqual(formatOpen(stream.parameters))
  expect(early!.message).toMatchObject({ ppid: Ppid.string, ordered: true, maxRetransmits: 0 })
  take()
  association.events!.onmessage(0, Ppid.dcep, ACK)
  stream.send('late')
  await settle()
  expect(association.sent[0]!.message).toMatchObject({ ordered: false, maxRetransmits: 0 })
})

test('a channel that the peer opens is acknowledged, open when it is seen, and says so afterwards', async () => {
  const { association, announced, log } = create()
  association.connect()
  const parameters = { ...RELIABLE, label: 'ü', protocol: 'p', ordered: false, maxPacketLifeTime: 7 }
  association.events!.onmessage(3, Ppid.dcep, formatOpen(parameters))
  association.events!.onmessage(3, Ppid.string, Buffer.from('hello'))
  await settle()
  expect(log).toEqual(['announced 3 open', 'open 3', 'message hello', 'sent 0'])
  expect(announced[0]!.parameters).toEqual(parameters)
  expect(association.sent[0]).toMatchObject({ streamId: 3, message: { ppid: Ppid.dcep, data: ACK, ordered: true } })
  // Once more on the same stream: the first one counts.
  association.events!.onmessage(3, Ppid.dcep, formatOpen(RELIABLE))
  expect(announced).toHaveLength(1)
})

test('nonsense opens nothing: half a message, an unknown type, an id out of range, an acknowledgement of nothing', () => {
  const { association, announced } = create()
  association.connect()
  const open = formatOpen(RELIABLE)
  for (const message of [open.subarray(0, 11), Buffer.from([9]), Buffer.alloc(0), ACK]) {
    association.events!.onmessage(2, Ppid.dcep, message)
  }
  association.events!.onmessage(65_535, Ppid.dcep, open)
  association.events!.onmessage(2, Ppid.string, Buffer.from('to nobody'))
  association.events!.onincomingreset([2, 77])
  association.events!.onoutgoingreset([2, 77])
  expect(announced).toEqual([])
})

test('what comes before we know that the association is up is kept, as much as a window of it', () => {
  const { association, streams, log, watch } = create()
  watch(streams.create(RELIABLE, 0))
  association.events!.onmessage(0, Ppid.string, Buffer.from('early'))
  association.events!.onmessage(0, Ppid.binary, Buffer.alloc(1_048_576))
  expect(log).toEqual([])
  association.connect()
  expect(log).toEqual(['open 0', 'message early'])
})

test('empty messages have a payload protocol of their own and a byte that does not count; unknown ones are dropped', async () => {
  const { association, streams, log, watch } = create()
  const stream = watch(streams.create(RELIABLE, 0))
  association.connect()
  stream.send('')
  stream.send(Buffer.alloc(0))
  await settle()
  expect(association.sent.map(({ message }) => [message.ppid, message.data.length, message.size])).toEqual([
    [Ppid.emptyString, 1, 0],
    [Ppid.emptyBinary, 1, 0],
  ])
  log.length = 0
  for (const ppid of [Ppid.emptyString, Ppid.emptyBinary, 52, 99])
    association.events!.onmessage(0, ppid, Buffer.from('?'))
  expect(log).toEqual(['message ', 'message '])
  expect(stream).toMatchObject({ messagesSent: 2, bytesSent: 0, messagesReceived: 2, bytesReceived: 0 })
})

test('channels take turns, one message each', async () => {
  const { association, streams, watch, take } = create()
  const [a, b] = [0, 2].map((id) => watch(streams.create({ ...RELIABLE, label: `${id}` }, id)))
  association.connect()
  association.congested = true
  for (const text of ['a1', 'a2', 'a3']) a!.send(text)
  for (const text of ['b1', 'b2']) b!.send(text)
  for (let i = 0; i < 5; i++) {
    await settle()
    association.release()
  }
  await settle()
  expect(take()).toEqual(['a1', 'a2', 'b1', 'a3', 'b2'])
})

test('a message whose time is over leaves the queue unsent', async () => {
  const { association, streams, log, watch, take } = create()
  const stream = watch(streams.create({ ...RELIABLE, maxPacketLifeTime: 100 }, 0))
  association.connect()
  association.congested = true
  stream.send('first')
  stream.send('too late')
  vi.advanceTimersByTime(99)
  stream.send('in time')
  vi.advanceTimersByTime(1)
  await settle()
  association.release()
  await settle()
  expect(take()).toEqual(['first', 'in time'])
  expect(log.filter((entry) => entry === 'sent 8')).toHaveLength(1)
})

test('RFC 8831 §6.7: close() resets the stream when everything is acknowledged, and ends when the peer has reset its own', async () => {
  const { association, streams, log, watch } = create()
  const stream = watch(streams.create(RELIABLE, 0))
  association.connect()
  stream.send('last words')
  stream.close()
  await settle()
  expect([stream.state, association.resets]).toEqual(['closing', []])
  association.acknowledge(0)
  expect(association.resets).toEqual([0])
  association.events!.onoutgoingreset([0])
  expect(stream.state).toBe('closing')
  association.events!.onmessage(0, Ppid.string, Buffer.from('nobody listens'))
  association.events!.onincomingreset([0])
  expect(log.slice(-2)).toEqual(['sent 10', 'close 0'])
  expect([stream.state, streams.opened, streams.closed]).toEqual(['closed', 1, 1])
})

test('the peer closes: closing, our own reset even if we never sent, then closed', () => {
  const { association, streams, log, watch } = create()
  const stream = watch(streams.create(RELIABLE, 7))
  association.connect()
  association.events!.onincomingreset([7])
  expect([stream.state, association.resets]).toEqual(['closing', [7]])
  association.events!.onoutgoingreset([7])
  expect(log).toEqual(['open 7', 'closing 7', 'close 7'])
})

test('a peer that never resets its direction is waited for three seconds', async () => {
  const { association, streams, watch } = create()
  const stream = watch(streams.create(RELIABLE, 0))
  association.connect()
  stream.close()
  association.events!.onoutgoingreset([0])
  vi.advanceTimersByTime(2999)
  expect(stream.state).toBe('closing')
  vi.advanceTimersByTime(1)
  expect(stream.state).toBe('closed')
})

test('closing before it is open sends nothing; the end of the association is the end of all', async () => {
  const { association, streams, log, watch, take } = create()
  const [early, other, third] = [0, 2, 4].map((id) => watch(streams.create(RELIABLE, id)))
  early!.close()
  await settle()
  association.connect()
  third!.close()
  association.events!.onclose(new RTCError({ errorDetail: 'sctp-failure' }))
  association.events!.onclose(undefined)
  expect(take()).toEqual([])
  expect(log).toEqual(['close 0', 'open 2', 'open 4', 'close 2 sctp-failure', 'close 4 sctp-failure'])
  expect([other!.state, streams.opened, streams.closed, [...streams.active]]).toEqual(['closed', 2, 2, []])
})
