import { describe, expect, test } from 'vitest'
import { type Pace, PerSecond } from '../src/server/pace.ts'
import { type Flow, Turns } from '../src/server/turns.ts'

/** A loop whose rounds are run by hand. */
function loop(pace?: Pace) {
  const due: (() => void)[] = []
  const time = clock((run) => due.push(run))
  const turns = new Turns(pace, time)
  const round = () => {
    for (const run of due.splice(0)) run()
  }
  /** Time passes where there is nothing to do. */
  const runUntil = (isDone: () => boolean) => {
    while (!isDone()) {
      if (due.length === 0) time.forward(time.next)
      round()
    }
  }
  return { turns, round, runUntil, due, time }
}

/** A clock that stands still, except while somebody works; what is to happen later happens when it is put forward. */
function clock(soon: (run: () => void) => unknown) {
  let time = 0
  const due: { at: number; run: () => void }[] = []
  return {
    now: () => time,
    soon,
    after: (duration: number, run: () => void) => void due.push({ at: time + duration, run }),
    spend: (milliseconds: number) => {
      time += milliseconds
    },
    get next() {
      return Math.min(...due.map(({ at }) => at))
    },
    forward(to: number) {
      time = Math.max(time, to)
      for (const { run } of due.splice(0)) run()
    },
  }
}

class Work implements Flow {
  served = 0
  readonly address: string
  #left: number

  constructor(address: string, left: number) {
    this.address = address
    this.#left = left
  }

  serve(): boolean {
    this.served += 1
    this.#left -= 1
    return this.#left > 0
  }
}

describe('turns', () => {
  test('who is quiet is served in the next round, whoever else waits', () => {
    const { turns, round } = loop()
    const flooders = Array.from({ length: 1_000 }, (_, index) => new Work(`a${index}`, 100))
    for (const flooder of flooders) turns.ask(flooder, false)
    round()
    const quiet = Array.from({ length: 5 }, (_, index) => new Work(`b${index}`, 1))
    for (const one of quiet) turns.ask(one, true)
    round()
    expect(quiet.map(({ served }) => served)).toEqual([1, 1, 1, 1, 1])
    expect(flooders.reduce((sum, { served }) => sum + served, 0)).toBe(2)
  })

  test('one of those who are busy is served per round, each in its turn, until there is nothing to do', () => {
    const { turns, round, due } = loop()
    const works = [new Work('a', 3), new Work('b', 3), new Work('c', 3)]
    for (const work of works) turns.ask(work, false)
    for (let count = 0; count < 3; count++) round()
    expect(works.map(({ served }) => served)).toEqual([1, 1, 1])
    for (let count = 0; count < 6; count++) round()
    expect(works.map(({ served }) => served)).toEqual([3, 3, 3])
    expect(turns.waiting).toBe(0)
    round() // what the last turn took
    expect(due).toEqual([])
  })

  test('addresses take turns, however many connections one of them has', () => {
    const { turns, round } = loop()
    const many = Array.from({ length: 100 }, () => new Work('crowd', 10))
    for (const one of many) turns.ask(one, false)
    const single = new Work('single', 10)
    turns.ask(single, false)
    for (let count = 0; count < 20; count++) round()
    expect(single.served).toBe(10)
    expect(Math.max(...many.map(({ served }) => served))).toBe(1)
  })

  test('who sends much at once begins as quiet and goes on as busy', () => {
    const { turns, round } = loop()
    const work = new Work('a', 3)
    turns.ask(work, true)
    round()
    expect(work.served).toBe(2) // nobody else was busy in this round
    expect(turns.waiting).toBe(1)
  })

  test('a crowd gets a part of the time only, and who is quiet is served meanwhile', () => {
    const { turns, round, due, time } = loop()
    let spent = 0
    const flow = (address: string, milliseconds: number): Flow => ({
      address,
      serve: () => {
        time.spend(milliseconds)
        spent += milliseconds
        return true
      },
    })
    for (let index = 0; index < 100; index++) turns.ask(flow(`a${index}`, 0.25), false)
    let quiet = 0
    let asked = 0
    while (time.now() < 1_000) {
      if (due.length === 0) {
        // Nobody has anything to do until then, except for a quiet one that comes just before.
        turns.ask({ address: 'b', serve: () => ++quiet < 0 }, true)
        asked += 1
        expect(due).toHaveLength(1)
        round()
        expect(quiet).toBe(asked)
        time.forward(time.next)
      }
      round()
    }
    expect(asked).toBeGreaterThan(300)
    expect(spent / time.now()).toBeGreaterThan(0.35)
    expect(spent / time.now()).toBeLessThan(0.45)
  })

  test('time in which the process stood still is not held against a crowd', () => {
    const { turns, round, time } = loop()
    let served = 0
    const serve = () => ++served > 0
    for (let index = 0; index < 100; index++) turns.ask({ address: `a${index}`, serve }, false)
    round()
    time.spend(60_000)
    round()
    expect(served).toBe(2)
  })

  test('dear turns are paced: half a second of them at once, then so many per second', () => {
    const { turns, runUntil, time } = loop(new PerSecond(200))
    time.spend(1_000) // since the process began
    const at: number[] = []
    const serve = () => at.push(time.now()) < 0
    for (let index = 0; index < 300; index++) turns.ask({ address: `a${index}`, serve }, false)
    runUntil(() => at.length === 300)
    expect(at.filter((when) => when === 1_000)).toHaveLength(101)
    expect(at.at(-1)).toBe(1_000 + 199 * 5)
  })

  test('while there is a crowd elsewhere, dear turns come at a fourth of their pace', () => {
    const others = { waiting: 64 }
    const { turns, runUntil, time } = loop(new PerSecond(200, others))
    const at: number[] = []
    const serve = () => at.push(time.now()) < 0
    for (let index = 0; index < 300; index++) turns.ask({ address: `a${index}`, serve }, false)
    runUntil(() => at.length === 200)
    expect(at[199]! - at[198]!).toBe(20)
    others.waiting = 63
    runUntil(() => at.length === 300)
    expect(at[299]! - at[298]!).toBe(5)
  })

  test('a few get all the time that there is', () => {
    const { turns, round, time } = loop()
    for (let index = 0; index < 10; index++) {
      turns.ask({ address: `a${index}`, serve: () => time.spend(5) === undefined }, false)
    }
    for (let count = 0; count < 100; count++) round()
    expect(time.now()).toBe(500)
  })

  test('an error costs nobody his turn', async () => {
    const { turns, round } = loop()
    const caught = new Promise((resolve) => process.once('uncaughtException', resolve))
    const listeners = process.listeners('uncaughtException').slice(0, -1)
    for (const listener of listeners) process.off('uncaughtException', listener)
    const fails = (): never => {
      throw new Error('of an application')
    }
    const work = new Work('b', 2)
    turns.ask({ address: 'a', serve: fails }, true)
    turns.ask(work, true)
    round()
    expect(await caught).toMatchObject({ message: 'of an application' })
    for (const listener of listeners) process.on('uncaughtException', listener)
    round()
    expect(work.served).toBe(2)
  })
})
