import { IceTransport } from '@floe/ice/node'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Connection, ConnectionMessage } from '../src/connection.ts'
import { connect, createSecret } from '../src/node/index.ts'
import { change, relayedPair } from './memory-relay.ts'
import { LOOPBACK } from './pair.ts'
import { random } from './session/world.ts'

afterEach(() => vi.restoreAllMocks())

const OPTIONS = { configuration: LOOPBACK as object }

/** No packet of ICE's gets anywhere: UDP and TURN are blocked altogether. */
function blockIce(): void {
  vi.spyOn(IceTransport.prototype, 'addRemoteCandidate').mockImplementation(() => {})
  vi.spyOn(IceTransport.prototype, 'start').mockImplementation(() => {})
}

async function connected(options: object = {}) {
  const signaling = relayedPair()
  const ends = signaling.map((end) => connect(end, { ...OPTIONS, ...options }))
  const [impolite, polite] = await Promise.all(ends)
  return { signaling, impolite: impolite!, polite: polite! }
}

async function take(connection: Connection, count: number): Promise<ConnectionMessage[]> {
  const all: ConnectionMessage[] = []
  for await (const message of connection) if (all.push(message) === count) break
  return all
}

test('talks over the relay when there is no other path, and closes with everything delivered', async () => {
  blockIce()
  const { signaling, impolite, polite } = await connected()
  expect([impolite.path, polite.path]).toEqual(['relay', 'relay'])
  await impolite.send('hello')
  await polite.send(new Uint8Array([1, 2, 3]))
  expect(await take(polite, 1)).toEqual(['hello'])
  expect(await take(impolite, 1)).toEqual([new Uint8Array([1, 2, 3])])
  const last = Array.from({ length: 100 }, (_, i) => `${i} `.padEnd(20_000, '.'))
  for (const message of last) void impolite.send(message)
  const received = take(polite, 101)
  await impolite.close('enough')
  expect(await received).toEqual(last)
  expect([await impolite.closed, await polite.closed]).toEqual(['enough', 'enough'])
  // The relay, and whoever runs it, has seen nothing of it.
  const seen = Buffer.concat(signaling.flatMap(({ relay }) => relay.sent))
  expect(seen.includes('hello')).toBe(false)
  expect(seen.includes('......')).toBe(false)
})

test('moves to the direct path, and back when it is gone, and tells so', async () => {
  const { signaling, impolite, polite } = await connected()
  const paths: unknown[] = [impolite.path]
  impolite.onpathchange = (path) => paths.push(path)
  const all: ConnectionMessage[] = []
  polite.onmessage = (message) => all.push(message)
  await vi.waitFor(() => expect([impolite.path, polite.path]).toEqual(['direct', 'direct']))
  await impolite.send('direct')
  await vi.waitFor(() => expect(all).toEqual(['direct']))
  const frames = signaling[0].relay.sent.length
  impolite.channel.close()
  await vi.waitFor(() => expect(impolite.path).toBe('relay'))
  await impolite.send('relayed')
  await vi.waitFor(() => expect(all).toEqual(['direct', 'relayed']))
  expect(signaling[0].relay.sent.length).toBeGreaterThan(frames)
  expect([impolite.state, polite.state]).toEqual(['open', 'open'])
  expect(paths).toEqual(['relay', 'direct', 'relay'])
  await polite.close('done')
  expect(await impolite.closed).toBe('done')
})

test('no path at all: interrupted, messages wait, and go on when the relay is back', async () => {
  blockIce()
  const { signaling, impolite, polite } = await connected()
  const states: string[] = []
  impolite.addEventListener('statechange', () => states.push(impolite.state))
  for (const { relay } of signaling) relay.isDown = true
  await impolite.send('waits')
  expect([impolite.state, impolite.path]).toEqual(['interrupted', undefined])
  for (const { relay } of signaling) relay.isDown = false
  expect(await take(polite, 1)).toEqual(['waits'])
  expect(states).toEqual(['interrupted', 'open'])
  await impolite.close()
})

test('no path for longer than the timeout: the end', async () => {
  blockIce()
  const { signaling, impolite } = await connected({ timeout: 300 })
  for (const { relay } of signaling) relay.isDown = true
  expect(await impolite.closed).toBe('No path to the peer could be found again')
})

test.each([0, 1])('end %i wants no relay: neither uses it', async (index) => {
  const signaling = relayedPair()
  const ends = signaling.map((end, i) => connect(end, { ...OPTIONS, relay: i !== index }))
  const [impolite, polite] = await Promise.all(ends)
  expect([impolite!.path, polite!.path]).toEqual(['direct', 'direct'])
  expect(signaling.map(({ relay }) => relay.sent.length)).toEqual([0, 0])
  await impolite!.close()
})

describe('streams', () => {
  test('readable and writable carry messages, hold back, and close', async () => {
    const { impolite, polite } = await connected()
    const writer = impolite.writable.getWriter()
    const received = (async () => {
      const all: ConnectionMessage[] = []
      for await (const message of polite.readable as unknown as AsyncIterable<ConnectionMessage>) all.push(message)
      return all
    })()
    for (let i = 0; i < 20; i++) await writer.write(String(i))
    await writer.close()
    expect(await received).toEqual(Array.from({ length: 20 }, (_, i) => String(i)))
    expect(impolite.state).toBe('closed')
  })

  test('cancelling closes with the reason', async () => {
    const { impolite, polite } = await connected()
    await polite.readable.cancel(new Error('no more'))
    expect(await impolite.closed).toBe('no more')
  })

  test('what nobody takes waits, and holds the sender back', async () => {
    const { impolite, polite } = await connected()
    let sent = 0
    const sending = (async () => {
      for (; sent < 200; sent++) await impolite.send(`${sent} `.padEnd(60_000, '.'))
    })()
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(sent).toBeGreaterThan(50)
    expect(sent).toBeLessThan(160)
    const all = await take(polite, 200)
    await sending
    expect(all.map((message) => Number.parseInt(String(message), 10))).toEqual(Array.from({ length: 200 }, (_, i) => i))
    await impolite.close()
  })
})

describe('a hostile relay', () => {
  test.each([1, 2, 3])(
    'drops, repeats, reorders and alters: noticed, and made good (seed %i)',
    async (seed) => {
      blockIce()
      const { signaling, impolite, polite } = await connected()
      const next = random(seed)
      for (const { relay } of signaling) {
        relay.tamper = (frame, deliver) => {
          const dice = next()
          if (dice < 0.05) return
          if (dice < 0.1) deliver(frame.slice())
          if (dice < 0.15) frame[Math.floor(next() * frame.length)]! ^= 1 << Math.floor(next() * 8)
          if (dice < 0.2) setTimeout(() => deliver(frame), 5)
          else deliver(frame)
        }
      }
      const messages = Array.from({ length: 150 }, (_, i) => `${seed} ${i} `.padEnd(5_000, '.'))
      const received = Promise.all([take(polite, messages.length), take(impolite, messages.length)])
      for (const message of messages) {
        void impolite.send(message)
        void polite.send(message)
      }
      const [atPolite, atImpolite] = await received
      expect(atPolite, `seed ${seed}`).toEqual(messages)
      expect(atImpolite, `seed ${seed}`).toEqual(messages)
      const { missing, repeated, altered } = polite.relayFaults
      expect([missing > 0, repeated > 0, altered > 0]).toEqual([true, true, true])
      await impolite.close()
    },
    30_000,
  )

  test('that alters everything is not used any more; the direct path is', async () => {
    const { signaling, impolite, polite } = await connected()
    for (const { relay } of signaling) {
      relay.tamper = (frame, deliver) => {
        for (let i = 0; i < 20; i++) deliver(frame.map((byte) => byte ^ 1))
      }
    }
    for (let i = 0; i < 50; i++) void impolite.send(String(i))
    expect(await take(polite, 50)).toEqual(Array.from({ length: 50 }, (_, i) => String(i)))
    expect(impolite.path).toBe('direct')
    await impolite.close()
  })
})

describe('who is at the other end', () => {
  test('a shared secret lets both ends in', async () => {
    const { impolite, polite } = await connected({ secret: createSecret() })
    await impolite.send('hello')
    expect(await take(polite, 1)).toEqual(['hello'])
    await impolite.close()
  })

  test.each([
    ['another secret', createSecret(), createSecret()],
    ['no secret here', undefined, createSecret()],
    ['no secret there', createSecret(), undefined],
  ])('%s: nobody is let in', async (_, first, second) => {
    const signaling = relayedPair()
    const secrets = [first, second]
    const attempts = signaling.map((end, i) => connect(end, { ...OPTIONS, ...(secrets[i] && { secret: secrets[i] }) }))
    const outcomes = await Promise.allSettled(attempts)
    const codes = outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason.code)
    expect(codes).toContain('ERR_CONNECT_UNAUTHENTICATED')
    for (const code of codes) expect(code).toMatch(/UNAUTHENTICATED|PEER_LEFT/)
    expect(signaling.flatMap(({ relay }) => relay.sent)).toEqual([])
  })

  test('a secret that can be guessed is a mistake of the caller', async () => {
    const attempt = connect(relayedPair()[0], { ...OPTIONS, secret: 'swordfish' })
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_CONNECT_ARGUMENT' })
  })

  test.each([0, -1, Number.NaN, 2 ** 31])('a timeout of %s ms is a mistake of the caller', async (timeout) => {
    const attempt = connect(relayedPair()[0], { ...OPTIONS, timeout })
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_CONNECT_ARGUMENT' })
  })

  test('an onpeerconnection that throws leaves nothing open', async () => {
    let made: RTCPeerConnection | undefined
    const attempt = connect(relayedPair()[0], {
      ...OPTIONS,
      onpeerconnection: (peerConnection) => {
        made = peerConnection
        throw new Error('from the caller')
      },
    })
    await expect(attempt).rejects.toThrow('from the caller')
    expect(made?.connectionState).toBe('closed')
  })

  test('a server that puts its own key in the hello of an end with a secret is found out', async () => {
    const [impolite, polite] = relayedPair()
    const secret = createSecret()
    const forge = ({ hello, ...message }: { hello?: string }) => ({
      ...message,
      ...(hello && { hello: hello.replace(/"key":"../, '"key":"BA') }),
    })
    const attempts = [connect(change(impolite, forge), { ...OPTIONS, secret }), connect(polite, { ...OPTIONS, secret })]
    const [, outcome] = await Promise.allSettled(attempts)
    expect((outcome as PromiseRejectedResult).reason).toMatchObject({ code: 'ERR_CONNECT_UNAUTHENTICATED' })
  })

  test('a server that sends the hello of an end back to it is found out', async () => {
    const [impolite] = relayedPair()
    const attempt = connect(impolite, { ...OPTIONS, secret: createSecret() })
    await vi.waitFor(() => expect(impolite.sent.length).toBeGreaterThan(0))
    impolite.inject(impolite.sent[0])
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_CONNECT_UNAUTHENTICATED' })
  })

  test('descriptions that name another certificate than the hello did are refused, with a secret or without', async () => {
    const [impolite, polite] = relayedPair()
    const forge = (message: { description?: { type: string; sdp?: string } }) => {
      const { description } = message
      if (!description?.sdp) return message
      const sdp = description.sdp.replace(/(a=fingerprint:sha-256 )../gi, '$1AA')
      return { description: { ...description, sdp: sdp === description.sdp ? sdp.replace(/ AA:/, ' AB:') : sdp } }
    }
    const attempts = [connect(change(impolite, forge), OPTIONS), connect(polite, OPTIONS)]
    const reasons = await Promise.allSettled(attempts).then((outcomes) =>
      Promise.all(outcomes.map((end) => (end.status === 'fulfilled' ? end.value.closed : end.reason.message))),
    )
    expect(reasons.join()).toMatch(/another certificate/)
  })

  test('a frame of a stranger on the relay is not heard', async () => {
    blockIce()
    const { signaling, impolite, polite } = await connected()
    signaling[1].relay.onframe!(new Uint8Array(100).fill(3))
    await impolite.send('hello')
    expect(await take(polite, 1)).toEqual(['hello'])
    expect(polite.relayFaults.altered).toBe(1)
    await impolite.close()
  })
})
