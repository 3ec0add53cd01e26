import { describe, expect, test } from 'vitest'
import { MAX_MESSAGE_SIZE, RECEIVE_WINDOW, RELAY_WINDOW, SUSPECT_AFTER } from '../../src/session/defaults.ts'
import { decodeFrame, encodeFrame, MAX_PAYLOAD } from '../../src/session/frame.ts'
import { Session } from '../../src/session/session.ts'
import { random, World } from './world.ts'

const bytes = (length: number, fill = 1) => new Uint8Array(length).fill(fill)
/** The i-th of many: text, since comparing megabytes byte by byte takes its time. */
const text = (length: number, i: number) => `${i} `.padEnd(length, '.')

test('messages of all sizes arrive as they were, on the relay and on the direct path', () => {
  for (const carrier of ['relay', 'direct'] as const) {
    const world = new World(1)
    world.setUp(carrier, true)
    const messages = [
      '',
      'hello',
      '\uFEFFmark',
      'ü'.repeat(20_000),
      bytes(0),
      bytes(1),
      bytes(MAX_PAYLOAD),
      bytes(100_000),
    ]
    for (const message of messages) world.ends[0].send(message)
    world.run(5_000)
    expect(world.ends[1].received).toEqual(messages)
    expect(world.ends[0].session.bufferedAmount).toBe(0)
    expect(world.ends[0].paths).toEqual([carrier])
    expect(world.ends.map(({ session }) => session.timeout())).toEqual([Infinity, Infinity])
  }
})

test('what is sent before there is a path waits for one', () => {
  const world = new World(1)
  world.ends[0].send('early')
  world.run(1_000)
  expect(world.ends[0].session.timeout()).toBe(Infinity)
  world.setUp('relay', true)
  world.run(1_000)
  expect(world.ends[1].received).toEqual(['early'])
})

test('a message that is too large is a mistake of the caller', () => {
  expect(() => new Session().send(0, bytes(MAX_MESSAGE_SIZE + 1))).toThrow(TypeError)
})

test('a sent message may be written over', () => {
  const world = new World(1)
  const message = bytes(10, 1)
  world.ends[0].send(message)
  message.fill(2)
  world.setUp('relay', true)
  world.run(1_000)
  expect(world.ends[1].received).toEqual([bytes(10, 1)])
})

test('an application that does not read holds its peer back, and loses nothing', () => {
  const world = new World(1)
  world.setUp('direct', true)
  world.ends[1].reads = false
  const count = 120
  for (let i = 0; i < count; i++) world.ends[0].send(text(60_000, i))
  world.run(10_000)
  expect(world.ends[0].sent.direct * 15_000).toBeLessThan(RECEIVE_WINDOW) // four frames each
  world.ends[1].reads = true
  world.ends[1].drain()
  world.run(10_000)
  expect(world.ends[1].received).toEqual(Array.from({ length: count }, (_, i) => text(60_000, i)))
})

test('the word that there is room again may be lost', () => {
  const world = new World(1)
  world.setUp('relay', true)
  world.ends[1].reads = false
  for (let i = 0; i < 120; i++) world.ends[0].send(text(60_000, i))
  world.run(20_000)
  world.hostility = { drop: 1, repeat: 0, reorder: 0 }
  world.ends[1].reads = true
  world.ends[1].drain()
  world.run(1_000)
  world.hostility = { drop: 0, repeat: 0, reorder: 0 }
  world.run(20_000)
  expect(world.ends[1].received).toHaveLength(120)
})

describe('moves between carriers', () => {
  test('to the direct path as soon as there is one', () => {
    const world = new World(1)
    world.setUp('relay', true)
    for (let i = 0; i < 100; i++) world.ends[0].send(text(50_000, i))
    world.run(200)
    expect(world.ends[0].session.path).toBe('relay')
    world.setUp('direct', true)
    world.run(5_000)
    expect(world.ends[0].paths).toEqual(['relay', 'direct'])
    expect(world.ends[1].received).toEqual(Array.from({ length: 100 }, (_, i) => text(50_000, i)))
  })

  test.each([
    ['both ways', [true, true]],
    ['outwards', [true, false]],
    ['inwards', [false, true]],
  ])('to the relay when the direct path falls silent %s, within two seconds, and back', (_, blackHole) => {
    const world = new World(1)
    world.setUp('relay', true)
    world.setUp('direct', true)
    let sent = 0
    const stream = (): void => {
      world.ends[0].send(String(sent++))
      world.ends[1].send(String(sent))
      if (sent < 1_000) world.at(10, stream)
    }
    stream()
    world.at(2_000, () => (world.blackHole = [...blackHole]))
    world.at(6_000, () => {
      world.blackHole = [false, false]
      for (const end of world.ends) end.heal()
    })
    world.run(30_000)
    for (const end of world.ends) {
      expect(end.received).toHaveLength(1_000)
      expect(end.longestPause).toBeLessThan(SUSPECT_AFTER + 300)
      expect(end.paths).toEqual(['relay', 'direct', 'relay', 'direct'])
    }
  })

  test('a word from below is quicker than silence', () => {
    const world = new World(1)
    world.setUp('relay', true)
    world.setUp('direct', true)
    world.blackHole = [true, true]
    world.ends[0].send('hello')
    world.ends[0].session.suspectDirect(world.now)
    world.ends[0].drain()
    world.run(100)
    expect(world.ends[1].received).toEqual(['hello'])
  })

  test('no relay: a silent direct path is waited for', () => {
    const world = new World(1)
    world.setUp('direct', true)
    world.blackHole = [true, true]
    world.ends[0].send('hello')
    world.run(60_000)
    expect(world.ends[0].paths).toEqual(['direct'])
    world.blackHole = [false, false]
    world.ends[0].heal()
    world.run(1_000)
    expect(world.ends[1].received).toEqual(['hello'])
  })

  test('a peer that is gone with its channel is noticed, one that is there is not', () => {
    for (const isGone of [true, false]) {
      const world = new World(1)
      world.setUp('relay', true)
      world.setUp('direct', true)
      if (isGone) world.ends[1].setUp('relay', false)
      world.setUp('direct', false)
      world.run(3_500)
      const stalls = world.ends[0].outputs.filter(({ type }) => type === 'stalled')
      expect(stalls).toEqual(isGone ? [{ type: 'stalled', isStalled: true }] : [])
      if (!isGone) expect(world.ends[0].session.timeout()).toBe(Infinity)
    }
  })

  test('an idle session wakes nobody up', () => {
    const world = new World(1)
    world.setUp('relay', true)
    world.setUp('direct', true)
    world.ends[0].send('hello')
    world.run(2_000)
    expect(world.ends.map(({ session }) => session.timeout())).toEqual([Infinity, Infinity])
  })
})

describe('the end', () => {
  test('finish() acknowledges what has just come: the peer knows that it arrived', () => {
    const world = new World(1)
    world.setUp('direct', true)
    world.ends[0].send('hello')
    world.run(40)
    expect(world.ends[1].received).toEqual(['hello'])
    expect(world.ends[0].session.bufferedAmount).toBeGreaterThan(0)
    world.ends[1].session.finish(world.now, 'done')
    world.ends[1].drain()
    world.run(1_000)
    expect(world.ends[0].session.bufferedAmount).toBe(0)
    expect(world.ends[0].outputs.slice(-2)).toEqual([{ type: 'acknowledged' }, { type: 'closed', reason: 'done' }])
  })

  test('finish() lets everything arrive, then tells the peer', () => {
    const world = new World(1)
    world.setUp('relay', true)
    for (let i = 0; i < 40; i++) world.ends[0].send(bytes(50_000))
    world.ends[0].session.finish(world.now, 'ü'.repeat(100))
    world.run(10_000)
    expect(world.ends[1].received).toHaveLength(40)
    expect(world.ends[0].outputs.at(-1)).toEqual({ type: 'finished' })
    expect(world.ends[1].outputs.at(-1)).toEqual({ type: 'closed', reason: 'ü'.repeat(61) })
  })

  test.each([
    ['no frame', new Uint8Array(3)],
    ['a type of its own', new Uint8Array(20).fill(9)],
    ['a message without end', undefined],
  ])('a peer that sends %s has broken the protocol', (_, frame) => {
    const session = new Session()
    if (frame) session.handleFrame(0, 'direct', frame)
    for (let number = 0; number < 100; number++) {
      const data = { type: 'data', number, text: false, last: false, payload: bytes(MAX_PAYLOAD) } as const
      session.handleFrame(0, 'direct', encodeFrame(data))
    }
    expect(outputsOf(session)).toContainEqual({ type: 'broken' })
  })
})

test('whatever a peer sends: no exception, and no more memory than the window', () => {
  const next = random(7)
  for (let round = 0; round < 300; round++) {
    const session = new Session()
    session.setUp(0, 'relay', true)
    session.send(0, 'hello')
    for (let i = 0; i < 50; i++) {
      const frame = new Uint8Array(Math.floor(next() * 40)).map(() => Math.floor(next() * 256))
      if (frame.length > 0) frame[0] = Math.floor(next() * 6)
      if (next() < 0.7) frame.fill(0, 2, 7)
      session.handleFrame(i, next() < 0.5 ? 'relay' : 'direct', frame)
      session.handleTimeout(i)
      outputsOf(session)
    }
  }
})

test('an acknowledgement of what was never sent changes nothing', () => {
  const session = new Session()
  session.setUp(0, 'relay', true)
  session.send(0, 'hello')
  outputsOf(session)
  session.handleFrame(1, 'relay', encodeFrame({ type: 'ack', next: 7, limit: 0, gap: false }))
  expect(session.bufferedAmount).toBeGreaterThan(0)
})

test('the relay holds no more of ours than its window', () => {
  const session = new Session()
  session.setUp(0, 'relay', true)
  for (let i = 0; i < 30; i++) session.send(0, bytes(50_000))
  const sent = outputsOf(session).flatMap((output) => (output.type === 'frame' ? [output.bytes.length] : []))
  expect(sent.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(RELAY_WINDOW)
})

/** Everything that can go wrong at once, from a seed: printed when it fails. */
test.each(Array.from({ length: 60 }, (_, i) => i + 1))('hostile relay, paths that come and go: seed %i', (seed) => {
  const world = new World(seed)
  const next = random(seed * 7919)
  world.hostility = { drop: next() * 0.2, repeat: next() * 0.3, reorder: next() * 0.3 }
  world.latency.relay = next() * 150
  world.latency.direct = next() * 50
  world.setUp('relay', true)
  const expected: [string[], string[]] = [[], []]
  const speak = (side: 0 | 1): void => {
    const message = `${expected[side].length} `.padEnd(Math.floor(next() ** 4 * 60_000), '.')
    expected[side].push(message)
    world.ends[side].send(message)
    if (expected[side].length < 200) world.at(next() * 60, () => speak(side))
  }
  speak(0)
  speak(1)
  for (let i = 0; i < 6; i++) world.at(next() * 8_000, () => mischief(world, next))
  world.at(10_000, () => {
    world.blackHole = [false, false]
    world.setUp('direct', true)
    for (const end of world.ends) end.heal()
  })
  world.run(200_000)
  const words = (messages: (string | Uint8Array)[]) => messages.map((message) => String(message).split(' ')[0])
  for (const side of [0, 1] as const) {
    expect(words(world.ends[side].received), `seed ${seed}`).toEqual(words(expected[1 - side]!))
    expect(world.ends[side].received).toEqual(expected[1 - side])
    expect(world.ends[side].session.bufferedAmount).toBe(0)
    expect(world.ends[side].session.timeout()).toBe(Infinity)
  }
})

function mischief(world: World, next: () => number): void {
  const dice = next()
  if (dice < 0.3) world.setUp('direct', next() < 0.7)
  else if (dice < 0.5) world.setUp('relay', next() < 0.7)
  else if (dice < 0.8) world.blackHole = [next() < 0.6, next() < 0.6]
  else {
    world.blackHole = [false, false]
    for (const end of world.ends) end.heal()
  }
}

test('frames survive their encoding', () => {
  const frames = [
    { type: 'data', number: 2 ** 40 + 3, text: true, last: false, payload: bytes(3) },
    { type: 'ack', next: 2 ** 33, limit: 2 ** 45 + 1, gap: true },
    { type: 'ping', id: 5 },
    { type: 'pong', id: 6 },
    { type: 'close', number: 9, reason: 'enough' },
  ] as const
  for (const frame of frames) expect(decodeFrame(encodeFrame(frame))).toEqual(frame)
})

function outputsOf(session: Session) {
  const outputs = []
  for (let output = session.poll(); output !== undefined; output = session.poll()) outputs.push(output)
  return outputs
}
