/** What data channels promise, between ours and the other implementations that Node can load. */
import { RTCPeerConnection } from '@floe/webrtc'
import libwebrtc from '@roamhq/wrtc'
import { cleanup as endLibdatachannel } from 'node-datachannel'
import { RTCPeerConnection as Libdatachannel } from 'node-datachannel/polyfill'
import { afterAll, describe, expect, test } from 'vitest'

type Connection = RTCPeerConnection
type Implementation = new () => Connection

const LIBWEBRTC = libwebrtc.RTCPeerConnection as unknown as Implementation
const LIBDATACHANNEL = Libdatachannel as unknown as Implementation

afterAll(() => endLibdatachannel())

interface Meeting {
  readonly offerer: Connection
  readonly answerer: Connection
  /** Changes the answer before its maker sets it. */
  readonly edit?: Change
  /** Changes a description on its way. */
  readonly tamper?: Change
}

type Change = (description: RTCSessionDescriptionInit) => RTCSessionDescriptionInit

const same: Change = (description) => description

/** Offer, answer and candidates, whoever the two are. */
async function negotiate({ offerer, answerer, edit = same, tamper = same }: Meeting): Promise<void> {
  const pass = (description: RTCSessionDescription | null) => tamper({ type: description!.type, sdp: description!.sdp })
  await offerer.setLocalDescription(await offerer.createOffer())
  await gathered(offerer)
  await answerer.setRemoteDescription(pass(offerer.localDescription))
  await answerer.setLocalDescription(edit(await answerer.createAnswer()))
  await gathered(answerer)
  await offerer.setRemoteDescription(pass(answerer.localDescription))
}

async function gathered(connection: Connection): Promise<void> {
  while (connection.iceGatheringState !== 'complete') await next(connection, 'icegatheringstatechange')
}

function next<E = Event>(target: EventTarget, type: string): Promise<E> {
  return new Promise((resolve) => target.addEventListener(type, (event) => resolve(event as E), { once: true }))
}

async function opened(channel: RTCDataChannel): Promise<void> {
  if (channel.readyState !== 'open') await next(channel, 'open')
}

/** A channel that `opener` announces, or both negotiate, open at both ends. */
async function channels(opener: Connection, other: Connection, init: RTCDataChannelInit) {
  const mine = opener.createDataChannel('label ü', init)
  const arrival = init.negotiated
    ? Promise.resolve(other.createDataChannel('label ü', init))
    : next<RTCDataChannelEvent>(other, 'datachannel').then(({ channel }) => channel)
  await negotiate({ offerer: opener, answerer: other })
  const theirs = await arrival
  await Promise.all([opened(mine), opened(theirs)])
  return [mine, theirs] as const
}

/** @roamhq/wrtc says 65535 where W3C has null. */
function limit(value: number | null): number | null {
  return value === 65_535 ? null : value
}

async function between(Other: Implementation, run: (ours: Connection, theirs: Connection) => Promise<void>) {
  const [ours, theirs] = [new RTCPeerConnection() as Connection, new Other()]
  try {
    await run(ours, theirs)
  } finally {
    await Promise.all([ours.close(), theirs.close()])
  }
}

describe.each([
  { name: 'libwebrtc', Other: LIBWEBRTC },
  { name: 'libdatachannel', Other: LIBDATACHANNEL },
])('$name', ({ Other, name }) => {
  const kinds: RTCDataChannelInit[] = [
    {},
    { protocol: 'v1' },
    { ordered: false },
    { maxRetransmits: 3 },
    { ordered: false, maxPacketLifeTime: 500 },
  ]

  test.each(kinds)('%j is the same at both ends, whoever opens it, and closes from either end', async (init) => {
    for (const opener of ['ours', 'theirs']) {
      for (const closer of ['opener', 'other']) {
        await between(Other, async (ours, theirs) => {
          const [first, second] = opener === 'ours' ? [ours, theirs] : [theirs, ours]
          const [mine, yours] = await channels(first, second, init)
          expect([yours.label, yours.protocol]).toEqual(['label ü', init.protocol ?? ''])
          // The polyfill around libdatachannel does not tell what the peer has chosen.
          if (name === 'libwebrtc' || opener === 'theirs') {
            const { ordered = true, maxRetransmits = null, maxPacketLifeTime = null } = init
            expect([yours.ordered, limit(yours.maxRetransmits), limit(yours.maxPacketLifeTime)]).toEqual([
              ordered,
              maxRetransmits,
              maxPacketLifeTime,
            ])
          }
          const both = [next(mine, 'close'), next(yours, 'close')]
          ;(closer === 'opener' ? mine : yours).close()
          await Promise.all(both)
        })
      }
    }
  })

  test.each(['ours', 'theirs'])(
    'a negotiated channel on which nothing was sent closes when %s does',
    async (closer) => {
      await between(Other, async (ours, theirs) => {
        const [mine, yours] = await channels(ours, theirs, { negotiated: true, id: 4 })
        const both = [next(mine, 'close'), next(yours, 'close')]
        ;(closer === 'ours' ? mine : yours).close()
        await Promise.all(both)
      })
    },
  )

  // libdatachannel answers passively on request only by its own API; libwebrtc follows the description.
  const roles = name === 'libwebrtc' ? (['ours', 'theirs'] as const) : (['ours'] as const)
  test.each(roles)('DTLS roles turned around: %s answers passively', async (answers) => {
    await between(Other, async (ours, theirs) => {
      const [offerer, answerer] = answers === 'ours' ? [theirs, ours] : [ours, theirs]
      const mine = offerer.createDataChannel('x')
      const arrival = next<RTCDataChannelEvent>(answerer, 'datachannel')
      const edit: Change = ({ type, sdp }) => ({ type, sdp: sdp!.replace('a=setup:active', 'a=setup:passive') })
      await negotiate({ offerer, answerer, edit })
      await opened(mine)
      const { channel } = await arrival
      const text = next<MessageEvent>(channel, 'message')
      mine.send('hello')
      expect((await text).data).toBe('hello')
      // RFC 8832 §6: the DTLS client, now the offerer, has the even ids; libdatachannel has chosen before it knew.
      if (name === 'libwebrtc') expect(channel.id! % 2).toBe(0)
    })
  })

  test.each(['active', 'passive'])('DTLS role that the offer insists on: %s', async (setup) => {
    await between(Other, async (ours, theirs) => {
      const mine = theirs.createDataChannel('x')
      await theirs.setLocalDescription(await theirs.createOffer())
      await gathered(theirs)
      const sdp = theirs.localDescription!.sdp.replace('a=setup:actpass', `a=setup:${setup}`)
      await ours.setRemoteDescription({ type: 'offer', sdp })
      await ours.setLocalDescription()
      await gathered(ours)
      expect(ours.localDescription!.sdp).toContain(`a=setup:${setup === 'active' ? 'passive' : 'active'}`)
      await theirs.setRemoteDescription({ type: 'answer', sdp: ours.localDescription!.sdp })
      await opened(mine)
    })
  })
})

// Not of libdatachannel, which acknowledges all of it, and forgets what it has not told when the channel closes.
test('a channel that closes with much under way delivers all of it', async () => {
  await between(LIBWEBRTC, async (ours, theirs) => {
    const [mine, yours] = await channels(ours, theirs, {})
    yours.binaryType = 'arraybuffer'
    let received = 0
    yours.onmessage = ({ data }) => {
      received += (data as ArrayBuffer).byteLength
    }
    const closed = next(yours, 'close')
    for (let i = 0; i < 40; i++) mine.send(new Uint8Array(50_000))
    mine.close()
    await closed
    expect(received).toBe(2_000_000)
  })
})

test('audio that libwebrtc offers is declined; the data channel beside it connects', async () => {
  await between(LIBWEBRTC, async (ours, theirs) => {
    theirs.addTransceiver('audio')
    const mine = theirs.createDataChannel('x')
    await negotiate({ offerer: theirs, answerer: ours })
    expect(ours.localDescription!.sdp).toMatch(/^m=audio 0 /m)
    await opened(mine)
  })
})

test.each(['client', 'server'])(
  'as DTLS %s we refuse a certificate that was not named, and libwebrtc is told at once',
  async (role) => {
    await between(LIBWEBRTC, async (ours, theirs) => {
      const [offerer, answerer] = role === 'client' ? [theirs, ours] : [ours, theirs]
      offerer.createDataChannel('x')
      const flip = (_: string, name: string, byte: string) => name + (byte === '00' ? '01' : '00')
      await negotiate({
        offerer,
        answerer,
        // What libwebrtc says of itself, on its way to us.
        tamper: ({ type, sdp }) => {
          const isTheirs = (type === 'offer') === (offerer === theirs)
          return { type, sdp: isTheirs ? sdp!.replace(/(a=fingerprint:sha-256 )(..)/, flip) : sdp! }
        },
      })
      // By its alert: without one, libwebrtc would wait for ICE to notice, 15 s. It fires no event for it.
      const states = () => [ours.connectionState, theirs.connectionState]
      await expect.poll(states, { timeout: 5000 }).toEqual(['failed', 'failed'])
    })
  },
)
