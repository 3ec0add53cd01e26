/** Ports mapped at home routers, by real miniupnpd. `npm run natlab -- mapping` counts and times them. */
import { describe, expect, test } from 'vitest'
import { sideBySide } from './decisions.ts'
import { whyNot } from './namespaces.ts'
import { MAPPING_TRIALS, meetMapped, restartRouter } from './port-mapping.ts'

const reason = whyNot()
const leftOut = reason ? ` (left out: ${reason})` : ''
const HELPFUL = MAPPING_TRIALS.filter(({ expected }) => expected === 'direct')

describe.skipIf(reason)(`a port mapping${leftOut}`, () => {
  test.each(HELPFUL)('$name: hard with hard is direct', async (trial) => {
    const { route, ends } = await meetMapped(trial)
    const { decisions } = ends[0]
    expect(route, sideBySide(decisions, ends[1].decisions)).toBe('direct')
    expect(decisions.some(({ text }) => text.startsWith('mapped:'))).toBe(true)
  })
})

test.skipIf(reason)(`a router that is restarted has its mapping back by its own announcement${leftOut}`, async () => {
  const { meeting, before, backAfter } = await restartRouter()
  expect(meeting.route).toBe('direct')
  expect(before).toMatchObject([{ forwards: true }])
  expect(backAfter).toBeDefined()
  expect(meeting.ends[0].pair).toMatch(/^srflx-/)
})
