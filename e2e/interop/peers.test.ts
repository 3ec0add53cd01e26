/** Our RTCPeerConnection against the other implementations that Node can load, in one process and on real sockets. */
import { RTCPeerConnection } from '@floe/webrtc'
import libwebrtc from '@roamhq/wrtc'
import { cleanup as endLibdatachannel } from 'node-datachannel'
import { RTCPeerConnection as Libdatachannel } from 'node-datachannel/polyfill'
import { afterAll, describe, expect, test } from 'vitest'
import { type Endpoint, establish, link, localEndpoint, transfer } from '../peer/endpoint.ts'
import type { TestPeerOptions } from '../peer/test-peer.ts'

const IMPLEMENTATIONS = [
  { name: 'libwebrtc (@roamhq/wrtc)', Connection: libwebrtc.RTCPeerConnection, restarts: true },
  // libdatachannel has no ICE restart: it never starts one, and says so when the other end does.
  { name: 'libdatachannel (node-datachannel)', Connection: Libdatachannel, restarts: false },
]

/** Less than a sender may have under way, since not every implementation reports when its buffer runs low. */
const BULK_BYTES = 3_000_000

afterAll(() => endLibdatachannel())

describe.each(IMPLEMENTATIONS)('against $name', ({ Connection, restarts }) => {
  const cases = [
    { offers: 'ours', trickle: true },
    { offers: 'theirs', trickle: true },
    { offers: 'ours', trickle: false },
    { offers: 'theirs', trickle: false },
  ] as const

  test.each(cases)(
    '$offers offers, trickle $trickle: talk, and $offers sends 3 MB, and back',
    async ({ offers, trickle }) => {
      await between(Connection, { trickle }, async (ours, theirs) => {
        const [offerer, answerer] = offers === 'ours' ? [ours, theirs] : [theirs, ours]
        await establish(offerer, link(offerer, answerer), answerer)
        await Promise.all([ours.ping('from ours'), theirs.ping('from theirs')])
        await passOn(offerer, answerer)
        await passOn(answerer, offerer)
      })
    },
  )

  const restarters = restarts ? (['ours', 'theirs'] as const) : []
  test.each(restarters)('ICE restart by %s', async (who) => {
    await between(Connection, {}, async (ours, theirs) => {
      const wire = link(ours, theirs)
      await establish(ours, wire, theirs)
      const before = (await ours.status()).usernameFragments
      await Promise.race([wire.broken, (who === 'ours' ? ours : theirs).offer().then(() => renewed(ours, before))])
      // Long enough for the new credentials to carry checks and consent of their own.
      for (let i = 0; i < 10; i++) {
        await Promise.all([ours.ping(`ours ${i}`), theirs.ping(`theirs ${i}`)])
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      expect((await ours.status()).connection).toBe('connected')
    })
  })

  const refusers = restarts ? [] : (['theirs'] as const)
  test.each(refusers)('an ICE restart that %s refuse leaves the old connection up', async () => {
    await between(Connection, {}, async (ours, theirs) => {
      const { broken } = link(ours, theirs)
      await establish(ours, { broken }, theirs)
      await ours.offer()
      await expect(broken).rejects.toThrow('Invalid ICE settings')
      await Promise.all([ours.ping('still here'), theirs.ping('here too')])
    })
  })
})

async function between(
  Connection: unknown,
  options: TestPeerOptions,
  run: (ours: Endpoint, theirs: Endpoint) => Promise<void>,
): Promise<void> {
  const [ours, theirs] = [localEndpoint(RTCPeerConnection, options), localEndpoint(Connection, options)]
  try {
    await run(ours, theirs)
  } finally {
    await Promise.all([ours.close(), theirs.close()])
  }
}

async function passOn(from: Endpoint, to: Endpoint): Promise<void> {
  const [sent, received] = await transfer(from, to, BULK_BYTES)
  expect(received).toBe(sent)
}

type Fragments = Awaited<ReturnType<Endpoint['status']>>['usernameFragments']

async function renewed(endpoint: Endpoint, before: Fragments): Promise<void> {
  for (;;) {
    const { local, remote } = (await endpoint.status()).usernameFragments
    if (local !== before.local && remote !== before.remote) return
    await endpoint.ping('still waiting for new credentials')
  }
}
