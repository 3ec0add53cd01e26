/** The events of the kernel lab in virtual time, and what the kernel came to when it was last asked. */
import { describe, expect, test } from 'vitest'
import { BEGINNINGS } from './beginnings.ts'
import { EVENTS, NEVER } from './events.ts'
import { meets, readEvents, survivedOf } from './events-report.ts'
import { beginSimulated, surviveSimulated } from './simulated-events.ts'

const RECORDED = readEvents()

describe('a simulated connection survives', () => {
  test.each(EVENTS.map((event) => [event.name, event] as const))('%s', (_, event) => {
    const { expected, simulated = expected } = event
    const survived = surviveSimulated(event)
    expect(meets(simulated, survived), JSON.stringify({ ...survived, event: undefined })).toBe(true)
  })
})

describe('a simulated connection begins', () => {
  test.each(BEGINNINGS.map((beginning) => [beginning.name, beginning] as const))('%s', (_, beginning) => {
    const { route, connected } = beginSimulated(beginning)
    expect(route).toBe(beginning.expected.route)
    expect(connected).toBeLessThanOrEqual(beginning.expected.within)
  })
})

describe('the kernel has come to the same', () => {
  test.each(EVENTS.filter(({ simulatorOnly }) => !simulatorOnly).map((event) => [event.name, event] as const))(
    '%s',
    (name, { expected }) => {
      expect(RECORDED.survivals, command(name)).toHaveProperty([name])
      expect(meets(expected, survivedOf(RECORDED.survivals[name]!)), command(name)).toBe(true)
    },
  )

  test.each(BEGINNINGS.map((beginning) => [beginning.name, beginning] as const))('%s', (name, { expected }) => {
    expect(RECORDED.beginnings, command(name)).toHaveProperty([name])
    const { route, firstByte } = RECORDED.beginnings[name]!
    expect({ route, inTime: (firstByte ?? NEVER) <= expected.within }).toEqual({ route: expected.route, inTime: true })
  })
})

/** Asks the kernel again, when the event or the agent is another one now. */
function command(name: string): string {
  return `npm run natlab -- events --only '${name}'`
}
