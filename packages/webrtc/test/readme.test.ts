import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { connect } from '../src/node/index.ts'
import { MemorySignaling } from './channel.ts'
import { LOOPBACK } from './pair.ts'

test('the example of the README runs', async () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const [, example] = /```ts\nimport { connect } from '@floe\/webrtc'\n\n([\s\S]*?)```/.exec(readme)!
  // Function bodies know no `await using` in Node 20; nothing else is changed.
  const body = example!.replace('await using', 'const')
  const [signaling, other] = MemorySignaling.pair()
  const lines: unknown[][] = []
  const configured: typeof connect = (channel, options) =>
    connect(channel, { ...options, configuration: LOOPBACK as object })
  const AsyncFunction = (async () => {}).constructor as new (
    ...source: string[]
  ) => (...values: unknown[]) => Promise<void>
  const running = new AsyncFunction('connect', 'signaling', 'console', body)(configured, signaling, {
    log: (...line: unknown[]) => lines.push(line),
  })
  const peer = await configured(other)
  const received: (string | Uint8Array)[] = []
  await peer.send('good morning')
  await new Promise<void>((resolve) => {
    peer.onmessage = (data) => received.push(data) === 2 && resolve()
  })
  await peer.close('that was all')
  await running
  expect(received).toEqual(['hello', new Uint8Array(65_536)])
  expect(lines).toEqual([['they say', 'good morning'], ['closed'], ['gone:', 'that was all']])
})
