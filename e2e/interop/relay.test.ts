import { IceTransport, type IceTransportOptions } from '@floe/ice/node'
import { RTCPeerConnection } from '@floe/webrtc'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Browser, type BrowserName, launch } from '../browser/browsers.ts'
import { openPeerPage } from '../browser/page-endpoint.ts'
import { type PageServer, servePages } from '../browser/page-server.ts'
import { type Coturn, startCoturn } from '../coturn/coturn.ts'
import { type Endpoint, establish, link, localEndpoint, transfer } from '../peer/endpoint.ts'
import type { TestPeerOptions } from '../peer/test-peer.ts'

/** In the private namespace of a test run there is an interface beside loopback; browsers gather nothing without one. */
const isPrivate = process.env.FLOE_TEST_NETNS === '1'
const IPS = isPrivate ? ['10.77.0.1', 'fd77::1'] : ['127.0.0.1', '::1']

const MEGABYTE = 1_000_000
const TRANSPORTS = [
  ['turn', 'udp'],
  ['turn', 'tcp'],
  ['turns', 'tcp'],
] as const

let coturn: Coturn
beforeAll(async () => {
  coturn = await startCoturn({ ips: isPrivate ? [...IPS, '127.0.0.1'] : IPS, relayIps: IPS, tls: true })
}, 30_000)
afterAll(() => coturn.stop())

function configuration(
  scheme: 'turn' | 'turns',
  transport: 'udp' | 'tcp',
  host: string,
  at = coturn,
): RTCConfiguration {
  const { username, credential } = at
  return {
    iceServers: [{ urls: at.url(scheme, transport, host), username, credential }],
    iceTransportPolicy: 'relay',
  }
}

/** What only Node needs: the authority behind coturn's certificate, and loopback where that is all there is. */
function forNode(common: RTCConfiguration): TestPeerOptions {
  const ice: IceTransportOptions = { tls: { ca: coturn.ca! }, includeLoopback: !isPrivate }
  return { configuration: { ...common, ice } as RTCConfiguration }
}

/** Both ends relayed, 50 MB from one to the other, words back, and both say that it went over relays. */
async function overRelays(offerer: Endpoint, answerer: Endpoint): Promise<void> {
  try {
    await establish(offerer, link(offerer, answerer), answerer)
    const [sent, received] = await transfer(offerer, answerer, 50 * MEGABYTE)
    expect(received).toBe(sent)
    await answerer.ping('thank you')
    const { selectedPair } = await offerer.status()
    expect(selectedPair).toEqual({ local: 'relay', remote: 'relay' })
  } finally {
    await Promise.all([offerer.close(), answerer.close()])
  }
}

test.each(TRANSPORTS)('a relayed candidate says how its server is reached: %s over %s', async (scheme, transport) => {
  const { configuration: common } = forNode(configuration(scheme, transport, IPS[0]!))
  const peerConnection = new RTCPeerConnection(common)
  peerConnection.createDataChannel('')
  const found = new Promise<RTCIceCandidate>((resolve) => {
    peerConnection.addEventListener('icecandidate', ({ candidate }) => candidate && resolve(candidate))
  })
  await peerConnection.setLocalDescription()
  expect(await found).toMatchObject({
    type: 'relay',
    relayProtocol: scheme === 'turns' ? 'tls' : transport,
    url: coturn.url(scheme, transport, IPS[0]!),
  })
  peerConnection.close()
})

describe('I69 Node and Node over relays alone', () => {
  for (const host of IPS) {
    test.each(TRANSPORTS)(
      `%s over %s at ${host}: 50 MB, checksum equal`,
      async (scheme, transport) => {
        const options = forNode(configuration(scheme, transport, host))
        await overRelays(localEndpoint(RTCPeerConnection, options), localEndpoint(RTCPeerConnection, options))
      },
      60_000,
    )
  }
})

describe.skipIf(!isPrivate).each<BrowserName>(['chromium', 'firefox'])('I69 Node and %s over relays alone', (name) => {
  let browser: Browser
  let pages: PageServer
  /** What is `localhost` in one family is not there in the other. */
  let coturn6: Coturn
  beforeAll(async () => {
    coturn6 = await startCoturn({ ips: [IPS[1]!, '::1'], relayIps: IPS, tls: { of: coturn } })
    pages = await servePages('peer')
    browser = await launch(name, { plainAddresses: true, authority: coturn.ca! })
  }, 60_000)
  afterAll(async () => {
    await browser.close()
    await pages.close()
    await coturn6.stop()
  })

  for (const host of IPS) {
    test.each(TRANSPORTS)(
      `%s over %s at ${host}: 50 MB, checksum equal`,
      async (scheme, transport) => {
        const common = configuration(scheme, transport, host)
        // Firefox wants a name in turns:, and this is the only one that needs no DNS here.
        const local = () => configuration(scheme, transport, 'localhost', host === IPS[1] ? coturn6 : coturn)
        const named = name === 'firefox' && scheme === 'turns' ? local() : common
        const page = await openPeerPage(browser, pages.page('peer'))
        try {
          const inPage = await page.endpoint({ configuration: named })
          await overRelays(inPage, localEndpoint(RTCPeerConnection, forNode(common)))
        } finally {
          await page.close()
        }
      },
      60_000,
    )
  }
})

describe('IceTransport and its relays', () => {
  type Way = 'udp' | 'tcp' | 'tls'

  const options = (servers: readonly Coturn[], by: Way = 'udp'): IceTransportOptions => ({
    gatherPolicy: 'relay',
    includeLoopback: true,
    interfaceFilter: ({ ip }) => ip === '127.0.0.1',
    iceServers: servers.map((server) => ({
      urls: by === 'tls' ? server.url('turns', 'tcp') : server.url('turn', by),
      username: server.username,
      credential: server.credential,
    })),
  })

  async function pair(both: IceTransportOptions): Promise<[IceTransport, IceTransport]> {
    const [a, b] = [new IceTransport(both), new IceTransport(both)]
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      from.addEventListener(
        'icecandidate',
        ({ candidate }) => to.state !== 'closed' && to.addRemoteCandidate(candidate),
      )
      from.gather()
    }
    a.start(b.getLocalParameters(), 'controlling')
    b.start(a.getLocalParameters(), 'controlled')
    const signal = AbortSignal.timeout(10_000)
    await Promise.all([a.connected({ signal }), b.connected({ signal })])
    return [a, b]
  }

  /** Sends until the other end hears it. */
  async function reaches(from: IceTransport, to: IceTransport, timeout: number): Promise<void> {
    let heard = false
    to.ondata = () => {
      heard = true
    }
    await expect
      .poll(
        () => {
          from.send(Uint8Array.of(200))
          return heard
        },
        { timeout, interval: 20 },
      )
      .toBe(true)
  }

  test('I70 a wrong password is tried once more and then said, without a loop', async () => {
    await using server = await startCoturn()
    const { urls, username } = { urls: server.url(), username: server.username }
    await using a = new IceTransport({ ...options([]), iceServers: [{ urls, username, credential: 'wrong' }] })
    const errors: { errorCode: number; errorText: string }[] = []
    a.addEventListener('icecandidateerror', ({ errorCode, errorText }) => errors.push({ errorCode, errorText }))
    a.gather()
    await expect.poll(() => a.gatheringState, { timeout: 5_000 }).toBe('complete')
    expect(errors).toEqual([
      { errorCode: 401, errorText: expect.stringContaining(`TURN server 127.0.0.1:${server.port}`) },
    ])
    expect(a.getLocalCandidates()).toEqual([])
  })

  test('I77 close() gives every allocation back', async () => {
    await using server = await startCoturn()
    const [a, b] = await pair(options([server]))
    const before = server.log.length
    await Promise.all([a.close(), b.close()])
    await server.logged(/closed[\s\S]*closed/, 5_000, before)
    expect(server.log.slice(before)).toMatch(/lifetime=0/)
  })

  test('I77 close() while another server’s name is being resolved: it waits for the allocation alone', async () => {
    await using server = await startCoturn()
    const { iceServers = [], ...others } = options([server])
    const unknown = { urls: 'turn:floe.invalid', username: 'u', credential: 'p' }
    const a = new IceTransport({ ...others, iceServers: [...iceServers, unknown] })
    const errors: Event[] = []
    a.addEventListener('icecandidateerror', (event) => errors.push(event))
    a.gather()
    await expect.poll(() => a.getLocalCandidates().length, { timeout: 5_000 }).toBe(1)
    expect(a.gatheringState).toBe('gathering')
    const start = performance.now()
    await a.close()
    expect(performance.now() - start).toBeLessThan(2_000)
    await server.logged(/lifetime=0\b/)
    expect(errors).toEqual([])
  })

  test.each<Way>(['udp', 'tcp', 'tls'])(
    'I73 a server that names another one, over %s: the relay is on that, and carries data',
    async (by) => {
      await using second = await startCoturn({ tls: true })
      const alternates = [
        `alternate-server=127.0.0.1:${second.port}`,
        `tls-alternate-server=127.0.0.1:${second.tlsPort}`,
      ]
      await using first = await startCoturn({ tls: true, config: alternates })
      const ca = [first.ca!, second.ca!]
      const [a, b] = await pair({ ...options([first], by), tls: { ca } })
      try {
        await reaches(a, b, 5_000)
        await reaches(b, a, 5_000)
        expect(a.getSelectedCandidatePair()?.local).toMatchObject({ type: 'relay', relayProtocol: by })
        expect(first.log).not.toMatch(/new, realm=/)
        expect(second.log).toMatch(/new, realm=[\s\S]*new, realm=/)
      } finally {
        await Promise.all([a.close(), b.close()])
      }
    },
    20_000,
  )

  test('killed with -9 while data flows: the session goes on over the second server', async () => {
    await using first = await startCoturn()
    await using second = await startCoturn()
    const [a, b] = await pair(options([first, second]))
    try {
      await reaches(a, b, 2_000)
      const port = Number(a.getSelectedCandidatePair()!.local.url?.match(/:(\d+)\?/)?.[1])
      await (port === first.port ? first : second).kill('SIGKILL')
      await reaches(a, b, 5_000)
      await reaches(b, a, 5_000)
      expect([a.state, b.state]).not.toContain('failed')
      expect(a.getLocalParameters()).toEqual(b.getRemoteParameters()) // no ICE restart
    } finally {
      await Promise.all([a.close(), b.close()])
    }
  }, 30_000)

  test.each(['udp', 'tcp'] as const)(
    'restarted, over %s: the allocation is regained, and signalled',
    async (by) => {
      await using server = await startCoturn()
      await using a = new IceTransport(options([server], by))
      a.gather()
      await expect.poll(() => a.getLocalCandidates().length, { timeout: 5_000 }).toBe(1)
      const [before] = a.getLocalCandidates()
      // So that the agent has something to send, which finds the port closed.
      a.start({ usernameFragment: 'abcd', password: 'x'.repeat(22) }, 'controlling')
      a.addRemoteCandidate({ candidate: 'candidate:1 1 udp 1 127.0.0.1 9 typ host' })
      await server.kill('SIGKILL')
      await expect.poll(() => a.getLocalCandidates().length, { timeout: 10_000 }).toBe(0)
      await server.start()
      await expect.poll(() => a.getLocalCandidates().length, { timeout: 10_000 }).toBe(1)
      expect(a.getLocalCandidates()[0]).not.toEqual(before)
      await expect.poll(() => a.gatheringState).toBe('complete')
    },
    30_000,
  )
})
