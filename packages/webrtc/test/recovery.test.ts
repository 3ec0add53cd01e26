import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Recovery } from '../src/recovery.ts'

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

/** What Recovery sees of a peer connection, moved by hand. */
class Connection extends EventTarget {
  connectionState = 'connected'
  signalingState = 'stable'
  localDescription = { sdp: 'a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n' }
  pair: object | null = {}
  readonly sctp = { transport: { iceTransport: { getSelectedCandidatePair: () => this.pair } } }
  readonly restarts: number[] = []
  /** After a restart: what the real one does, or nothing at all. */
  answer: 'fails' | 'nothing' = 'fails'

  restartIce(): void {
    this.restarts.push(Date.now())
    if (this.answer === 'nothing') return
    this.become('connecting')
    setTimeout(() => this.become('failed'), 100)
  }

  /** All that could carry data is gone. */
  lose(state: 'connecting' | 'disconnected'): void {
    this.pair = null
    this.become(state)
  }

  negotiate(): void {
    for (const state of ['have-remote-offer', 'stable']) {
      this.signalingState = state
      this.dispatchEvent(new Event('signalingstatechange'))
    }
  }

  become(state: string): void {
    this.connectionState = state
    this.dispatchEvent(new Event('connectionstatechange'))
  }
}

function watch({ polite = false, random = (): number => 0 } = {}) {
  const connection = new Connection()
  const states: string[] = []
  const recovery = new Recovery(
    connection as unknown as RTCPeerConnection,
    polite,
    (state) => states.push(state),
    random,
  )
  const from = Date.now()
  return { connection, recovery, states, restarts: () => connection.restarts.map((time) => time - from) }
}

test('without a path it restarts at once, then after 1, 2, 4, 8 and every 10 s', () => {
  const { connection, restarts, states } = watch()
  connection.become('failed')
  vi.advanceTimersByTime(46_000)
  expect(restarts()).toEqual([0, 1_100, 3_200, 7_300, 15_400, 25_500, 35_600, 45_700])
  expect(new Set(states)).toEqual(new Set(['interrupted']))
})

test('peers that lost one network together do not come back in step', () => {
  const at = (random: number) => {
    const { connection, restarts } = watch({ random: () => random })
    connection.become('failed')
    vi.advanceTimersByTime(4_000)
    return restarts()
  }
  expect(at(0)).toEqual([0, 1_100, 3_200])
  expect(at(1)).toEqual([0, 1_350, 3_950])
})

test('disconnected is given four seconds, and a path that is back ends it', () => {
  const { connection, restarts, states } = watch()
  connection.become('disconnected')
  vi.advanceTimersByTime(3_900)
  connection.become('connected')
  vi.advanceTimersByTime(20_000)
  expect(restarts()).toEqual([])
  expect(states).toEqual(['interrupted', 'open'])
  connection.become('disconnected')
  vi.advanceTimersByTime(4_000)
  expect(restarts()).toEqual([27_900])
})

describe.each([
  ['impolite', false, 0],
  ['polite', true, 2_000],
])('the last pair goes at the %s end', (_, polite, headStart) => {
  const lost = (state: 'connecting' | 'disconnected', random = 0) => {
    const watched = watch({ polite, random: () => random })
    watched.connection.become('connected')
    watched.connection.lose(state)
    return watched
  }

  test('with nothing left to ask it restarts at once', () => {
    const { restarts, states } = lost('disconnected')
    vi.advanceTimersByTime(headStart)
    expect(restarts()).toEqual([headStart])
    expect(states.at(-1)).toBe('interrupted')
  })

  test('what has yet to answer has a second, jitter apart, and what answers in time needs no restart', () => {
    for (const random of [0, 1]) {
      const { restarts, states } = lost('connecting', random)
      const due = (1_000 + headStart) * (1 + random / 4)
      vi.advanceTimersByTime(due - 1)
      expect([restarts(), states]).toEqual([[], ['open', 'interrupted']])
      vi.advanceTimersByTime(1)
      expect(restarts()).toEqual([due])
    }
    const { connection, restarts } = lost('connecting')
    vi.advanceTimersByTime(900 + headStart)
    connection.become('connected')
    vi.advanceTimersByTime(60_000)
    expect(restarts()).toEqual([])
  })

  test('also when it was silent before, and when the last question goes unanswered', () => {
    for (const states of [
      ['disconnected', 'connecting'],
      ['connecting', 'disconnected', 'connecting'],
    ]) {
      const { connection, restarts } = watch({ polite })
      connection.become('connected')
      connection.become('disconnected')
      vi.advanceTimersByTime(1_000)
      connection.pair = null
      for (const state of states.slice(0, -1)) connection.become(state)
      connection.become(states.at(-1)!)
      vi.advanceTimersByTime(1_000 + headStart)
      expect(restarts()).toEqual([2_000 + headStart])
    }
  })

  test('also soon after it was found, when what was negotiated has come to something', () => {
    const { connection, restarts } = watch({ polite })
    connection.negotiate()
    connection.become('connected')
    connection.lose('disconnected')
    vi.advanceTimersByTime(headStart)
    expect(restarts()).toEqual([headStart])
  })

  test('who is in no network waits for one, and then a second', () => {
    const { connection, restarts } = watch({ polite })
    connection.become('connected')
    connection.localDescription = { sdp: '' }
    connection.lose('disconnected')
    vi.advanceTimersByTime(9_000)
    expect(restarts()).toEqual([])
    connection.become('connecting')
    vi.advanceTimersByTime(1_000 + headStart)
    expect(restarts()).toEqual([10_000 + headStart])
  })

  test('what the peer has begun meanwhile is left alone', () => {
    const { connection, restarts } = lost('connecting')
    vi.advanceTimersByTime(500)
    connection.negotiate()
    connection.become('disconnected')
    connection.become('connecting')
    vi.advanceTimersByTime(39_000)
    expect(restarts()).toEqual([])
    connection.answer = 'nothing'
    connection.become('failed')
    vi.advanceTimersByTime(headStart)
    expect(restarts()).toEqual([39_500 + headStart])
  })
})

test('a browser is connecting while its peer restarts: that takes less than ten seconds', () => {
  const { connection, restarts, states } = watch()
  connection.become('connected')
  connection.negotiate()
  connection.become('connecting')
  vi.advanceTimersByTime(9_900)
  expect([restarts(), states]).toEqual([[], ['open']])
  vi.advanceTimersByTime(100)
  expect(restarts()).toEqual([10_000])
})

test('the polite side leaves it to the other for two seconds', () => {
  const { connection, restarts } = watch({ polite: true })
  connection.become('failed')
  vi.advanceTimersByTime(1_900)
  expect(restarts()).toEqual([])
  connection.become('connecting') // the other one's offer
  vi.advanceTimersByTime(20_000)
  expect(restarts()).toEqual([])
  connection.become('failed')
  vi.advanceTimersByTime(2_000)
  expect(restarts()).toEqual([23_900])
})

test('an offer that nobody answers is not followed by another; one that has come to nothing is', () => {
  const { connection, restarts } = watch()
  connection.answer = 'nothing'
  connection.become('failed')
  vi.advanceTimersByTime(0)
  connection.signalingState = 'have-local-offer'
  vi.advanceTimersByTime(60_000)
  expect(restarts()).toEqual([0])
  connection.signalingState = 'stable'
  vi.advanceTimersByTime(10_000)
  expect(restarts()).toHaveLength(2)
})

test('stopped, it does nothing any more', () => {
  const { connection, recovery, restarts } = watch()
  connection.become('disconnected')
  recovery.stop()
  vi.advanceTimersByTime(10_000)
  connection.become('failed')
  vi.advanceTimersByTime(60_000)
  expect(restarts()).toEqual([])
})
