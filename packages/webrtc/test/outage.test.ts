/** The kernel drops all UDP for longer than consent lasts: connect() restarts ICE through signaling, and the session goes on. */
import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { connect } from '../src/node/index.ts'
import { MemorySignaling } from './channel.ts'
import { LOOPBACK } from './pair.ts'

/** Shorter than RFC 7675's and ours, so that the test is: what counts is that the cut outlasts consent. Milliseconds. */
const timing = { consentInterval: 500, disconnectedTimeout: 1_000, consentTimeout: 7_000 }
const CUT = 'table inet outage { chain input { type filter hook input priority 0; meta l4proto udp drop; }; }'

/** A network namespace of this file's own: what is cut there is nobody else's. */
const inOwnNetwork = process.env.FLOE_OUTAGE === '1'

test.runIf(inOwnNetwork)('UDP is cut until consent is lost, and comes back', { timeout: 40_000 }, async () => {
  const signaling = MemorySignaling.pair()
  // Over TCP the session would go on by itself.
  const configuration = { ice: { ...LOOPBACK.ice, timing, tcp: false } } as object
  const ends = await Promise.all(signaling.map((end) => connect(end, { relay: false, configuration, timeout: 60_000 })))
  const received: unknown[] = []
  ends[1]!.onmessage = (message) => received.push(message)
  await ends[0]!.send('before')
  await expect.poll(() => received, { timeout: 5_000 }).toEqual(['before'])
  const offers = () => signaling.flatMap(({ sent }) => sent).filter((message) => isOffer(message))
  expect(offers()).toHaveLength(1)
  nft(`add ${CUT}`)
  const cutAt = performance.now()
  await expect.poll(() => ends.map(({ state }) => state), { timeout: 5_000 }).toEqual(['interrupted', 'interrupted'])
  void ends[0]!.send('meanwhile')
  // Asked for through signaling, which works, while there is no path.
  await expect.poll(() => offers().length, { timeout: 15_000 }).toBeGreaterThan(1)
  await new Promise((resolve) => setTimeout(resolve, timing.consentTimeout + 500 - (performance.now() - cutAt)))
  nft('delete table inet outage')
  await expect.poll(() => ends.map(({ state }) => state), { timeout: 15_000 }).toEqual(['open', 'open'])
  await ends[0]!.send('after')
  await expect.poll(() => received, { timeout: 5_000 }).toEqual(['before', 'meanwhile', 'after'])
  await Promise.all(ends.map((end) => end.close()))
})

function isOffer(message: object): boolean {
  return 'description' in message && (message.description as { type: string }).type === 'offer'
}

function nft(command: string): void {
  const { status, stderr } = spawnSync('nft', ['-f', '-'], { input: command.replaceAll('; ', '\n'), encoding: 'utf8' })
  if (status !== 0) throw new Error(`nft ${command}: ${stderr}`)
}

const mayUnshare = process.platform === 'linux' && spawnSync('unshare', ['--net', 'true']).status === 0

test.skipIf(inOwnNetwork || !mayUnshare)('an outage of UDP (takes root on Linux)', { timeout: 60_000 }, () => {
  const again = `ip link set lo up && exec "${process.execPath}" node_modules/vitest/vitest.mjs run --project unit "$0"`
  const { status, stdout, stderr } = spawnSync('unshare', ['--net', 'sh', '-c', again, import.meta.filename], {
    env: { ...process.env, FLOE_OUTAGE: '1' },
    encoding: 'utf8',
    timeout: 50_000,
  })
  expect(status, stdout + stderr).toBe(0)
})
