/** Credentials that have expired, and new ones at the next ICE restart, against coturn with `use-auth-secret`. */
import { IceTransport, type IceTransportOptions } from '@floe/ice/node'
import { RTCPeerConnection } from '@floe/webrtc'
import { expect, test } from 'vitest'
import { type Coturn, startCoturn, timeLimited } from '../coturn/coturn.ts'
import { localEndpoint } from '../peer/endpoint.ts'

const SECRET = 'north'
const LOOPBACK: IceTransportOptions = {
  gatherPolicy: 'relay',
  includeLoopback: true,
  interfaceFilter: ({ ip }) => ip === '127.0.0.1',
}

function servers(coturn: Coturn, name: string, seconds: number) {
  return [{ urls: coturn.url(), ...timeLimited(SECRET, name, seconds) }]
}

/** What either gathers is the other's; parameters are exchanged by hand. */
function pair(coturn: Coturn, seconds: number): [IceTransport, IceTransport] {
  const make = (name: string) => new IceTransport({ ...LOOPBACK, iceServers: servers(coturn, name, seconds) })
  const [a, b] = [make('anna'), make('ben')]
  a.addEventListener('icecandidate', ({ candidate }) => b.state !== 'closed' && b.addRemoteCandidate(candidate))
  b.addEventListener('icecandidate', ({ candidate }) => a.state !== 'closed' && a.addRemoteCandidate(candidate))
  return [a, b]
}

function start(a: IceTransport, b: IceTransport): void {
  a.start(b.getLocalParameters(), 'controlling')
  b.start(a.getLocalParameters(), 'controlled')
}

async function connected(...transports: readonly IceTransport[]): Promise<void> {
  const signal = AbortSignal.timeout(10_000)
  await Promise.all(transports.map((transport) => transport.connected({ signal })))
}

test('the first credentials have expired: 401 is said, and a restart with new ones connects', async () => {
  await using coturn = await startCoturn({ secret: SECRET })
  const [a, b] = pair(coturn, -10)
  const errors: number[] = []
  a.addEventListener('icecandidateerror', ({ errorCode }) => errors.push(errorCode))
  try {
    for (const one of [a, b]) one.gather()
    start(a, b)
    await expect.poll(() => [a, b].map(({ gatheringState }) => gatheringState)).toEqual(['complete', 'complete'])
    expect(errors).toEqual([401])
    expect(a.getLocalCandidates()).toEqual([])

    a.setIceServers(servers(coturn, 'anna-again', 3_600))
    b.setIceServers(servers(coturn, 'ben-again', 3_600))
    expect(a.getLocalCandidates()).toEqual([]) // Nothing before the restart.
    a.restart()
    b.restart()
    start(a, b)
    await connected(a, b)
    expect(a.getSelectedCandidatePair()).toMatchObject({ local: { type: 'relay' }, remote: { type: 'relay' } })
    expect(errors).toEqual([401])
  } finally {
    await Promise.all([a.close(), b.close()])
  }
})

test('while connected: data flows on, the new path is over a new allocation, and the old one is given back', async () => {
  await using coturn = await startCoturn({ secret: SECRET })
  const [a, b] = pair(coturn, 3_600)
  try {
    for (const one of [a, b]) one.gather()
    start(a, b)
    await connected(a, b)
    const before = a.getSelectedCandidatePair()!
    const said = coturn.log.length
    let heard = 0
    b.ondata = () => heard++

    a.setIceServers(servers(coturn, 'anna-again', 3_600))
    a.restart()
    b.restart()
    start(a, b)
    const isNew = () => a.getSelectedCandidatePair()?.local.address.port !== before.local.address.port
    let sent = 0
    await expect
      .poll(
        () => {
          if (a.send(Uint8Array.of(200))) sent++
          return isNew()
        },
        { interval: 10, timeout: 10_000 },
      )
      .toBe(true)
    await expect.poll(() => heard).toBe(sent) // Not one was lost on the way from one path to the other.
    expect(a.getLocalCandidates()).toHaveLength(1)
    expect(coturn.log.slice(said)).toMatch(/ALLOCATE processed, success[\s\S]*anna-again|anna-again[\s\S]*ALLOCATE/)
    await coturn.logged(/username=<\d+:anna>, lifetime=0/, 15_000, said)
    expect(coturn.log.slice(said)).not.toMatch(/username=<\d+:ben>, lifetime=0/)
    expect(a.state).toMatch(/connected|completed/)
  } finally {
    await Promise.all([a.close(), b.close()])
  }
}, 40_000)

test('setConfiguration() of RTCPeerConnection hands them to the next ICE restart', async () => {
  await using coturn = await startCoturn({ secret: SECRET })
  const configuration = (seconds: number): RTCConfiguration => ({
    iceServers: servers(coturn, 'anna', seconds),
    iceTransportPolicy: 'relay',
    ...{ ice: { includeLoopback: true, interfaceFilter: LOOPBACK.interfaceFilter } },
  })
  const [a, b] = [configuration(-10), configuration(3_600)].map((one) =>
    localEndpoint(RTCPeerConnection, { configuration: one }),
  ) as [ReturnType<typeof localEndpoint>, ReturnType<typeof localEndpoint>]
  const connection = (a as unknown as { connection: RTCPeerConnection }).connection
  a.onsignal = (signal) => void b.signal(signal)
  b.onsignal = (signal) => void a.signal(signal)
  const codes: number[] = []
  connection.addEventListener('icecandidateerror', ({ errorCode }) => codes.push(errorCode))
  try {
    await a.offer()
    await expect.poll(() => codes).toEqual([401])
    connection.setConfiguration({ ...connection.getConfiguration(), ...configuration(3_600) })
    await a.offer() // An ICE restart.
    await Promise.all([a.opened(), b.opened()])
    await a.ping('hello')
    expect((await a.status()).selectedPair).toEqual({ local: 'relay', remote: 'relay' })
  } finally {
    await Promise.all([a.close(), b.close()])
  }
})
