/** Ports mapped at home routers, by real miniupnpd. `npm run natlab -- mapping` counts and times them. */
import { describe, expect, test } from 'vitest'
import { sideBySide } from './decisions.ts'
import { whyNot } from './namespaces.ts'
import { MAPPING_TRIALS, meetMapped, RESTARTED, restartRouter } from './port-mapping.ts'

const reason = whyNot()
const leftOut = reason ? ` (left out: ${reason})` : ''
const HELPFUL = MAPPING_TRIALS.filter(({ expected }) => expected === 'direct')

describe.skipIf(reason).concurrent(`port mappings${leftOut}`, () => {
  test.each(HELPFUL)('$name: hard with hard is direct', async (trial) => {
    const { route, ends } = await meetMapped(trial)
    const [one, other] = ends.map(({ decisions }) => decisions)
    expect(route, sideBySide(one!, other!)).toBe('direct')
    // Where both have routers that map ports, the faster one is enough.
    expect([...one!, ...other!].some(({ text }) => text.startsWith('mapped:'))).toBe(true)
  })

  test.each(RESTARTED)(
    'a router of %s alone that is restarted has its mapping back by its own announcement',
    async (protocol) => {
      const { meeting, before, backAfter } = await restartRouter(protocol)
      expect(meeting.route).toBe('direct')
      expect(before).toMatchObject([{ forwards: true }])
      expect(backAfter).toBeDefined()
      expect(meeting.ends[0].pair).toMatch(/^srflx-/)
    },
  )
})
