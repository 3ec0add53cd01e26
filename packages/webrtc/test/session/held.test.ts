import { expect, test } from 'vitest'
import { encodeFrame } from '../../src/session/frame.ts'
import { Session } from '../../src/session/session.ts'
import { heldMemory } from '../memory.ts'

test('what the peer has acknowledged is not kept, though the stream never pauses', async () => {
  const session = new Session()
  session.setUp(0, 'direct', true)
  const before = await heldMemory()
  let sent = 0
  const send = () => {
    session.send(0, new Uint8Array(15_000))
    sent++
    for (let output = session.poll(); output !== undefined; output = session.poll());
  }
  send()
  for (let i = 0; i < 1_000; i++) {
    send()
    session.handleFrame(0, 'direct', encodeFrame({ type: 'ack', next: sent - 1, limit: 2 ** 40, gap: false }))
  }
  expect((await heldMemory()) - before).toBeLessThan(4_000_000)
  expect(session.bufferedAmount).toBeGreaterThan(0)
})
