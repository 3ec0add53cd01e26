import { afterEach, beforeEach, expect, test, vi } from 'vitest'
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
  readonly restarts: number[] = []
  /** After a restart: what the real one does, or nothing at all. */
  answer: 'fails' | 'nothing' = 'fails'

  restartIce(): void {
    this.restarts.push(Date.now())
    if (this.answer === 'nothing') return
    this.become('connecting')
    setTimeout(() => this.become('failed'), 100)
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

test('paths that go all at once are not waited for as long as RFC 8863 has new ones waited for', () => {
  const { connection, restarts } = watch()
  connection.become('connected')
  connection.become('connecting')
  vi.advanceTimersByTime(9_900)
  expect(restarts()).toEqual([])
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
