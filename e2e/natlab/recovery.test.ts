/** Each event once, with patience for a busy machine. `npm run natlab -- recovery` measures, beside others. */
import { beforeAll, describe, expect, test } from 'vitest'
import { sideBySide } from './decisions.ts'
import { whyNot } from './namespaces.ts'
import { type Recovery, recoverTogether } from './recovery.ts'
import { RECOVERY_EVENTS, type RecoveryEvent } from './recovery-events.ts'

const reason = whyNot()

describe.skipIf(reason)(`no message is lost, and nobody restarts${reason ? ` (left out: ${reason})` : ''}`, () => {
  const recoveries = new Map<string, Recovery | Error>()

  beforeAll(async () => {
    const one = async (event: RecoveryEvent) =>
      recoveries.set(event.name, (await recoverTogether(event, ['node', 'node'], 1))[0]!)
    await Promise.all(RECOVERY_EVENTS.map(one))
  })

  test.each(RECOVERY_EVENTS)('$name', ({ name, within }) => {
    const recovery = recoveries.get(name)
    if (!recovery || recovery instanceof Error) throw recovery
    const { again, lost, restarted, decisions } = recovery
    expect({ lost, restarted }, sideBySide(...decisions)).toEqual({ lost: 0, restarted: false })
    expect(again, sideBySide(...decisions)).toBeLessThan(3 * within)
  })
})
