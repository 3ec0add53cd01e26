import { readCandidate, type Seen, type ServerSeen, type Survey } from './findings.ts'

/** A server that takes longer is not of use, milliseconds. */
const PATIENCE = 6_000

/** Asks all servers, each by itself and one socket all STUN servers. Takes as long as the slowest, six seconds at most. */
export async function survey(iceServers: readonly RTCIceServer[]): Promise<Survey> {
  const single = iceServers.flatMap((server) => [server.urls].flat().map((urls) => ({ ...server, urls })))
  const stun = single.filter(({ urls }) => urls.startsWith('stun'))
  const turn = single.filter(({ urls }) => urls.startsWith('turn'))
  const [candidates, ...servers] = await Promise.all([gather(stun), ...stun.map(askStun), ...turn.map(tryTurn)])
  return { candidates, servers }
}

async function gather(iceServers: RTCIceServer[]): Promise<Seen[]> {
  const seen: Seen[] = []
  await withConnection({ iceServers }, (connection, done) => {
    connection.addEventListener('icecandidate', ({ candidate }) => {
      const found = candidate && readCandidate(candidate.candidate)
      if (found) seen.push(found)
      if (candidate === null) done()
    })
  })
  return seen
}

/** Chromium and Firefox report a host candidate only where a server sees the same address: then completion must do. */
async function askStun(server: RTCIceServer & { urls: string }): Promise<ServerSeen> {
  const start = performance.now()
  let answeredAt: number | undefined
  let failed = false
  await withConnection({ iceServers: [server] }, (connection, done) => {
    connection.addEventListener('icecandidateerror', () => {
      failed = true
    })
    connection.addEventListener('icecandidate', ({ candidate }) => {
      if (candidate?.candidate.includes(' typ srflx ')) answeredAt ??= performance.now()
      if (candidate === null || answeredAt !== undefined) {
        // No error and no address of its own: the server saw what we have anyway.
        if (candidate === null && !failed) answeredAt ??= performance.now()
        done()
      }
    })
  })
  if (answeredAt === undefined) return { url: server.urls, works: false }
  return { url: server.urls, works: true, time: Math.round(answeredAt - start) }
}

/** A connection of this page with itself through the relay: the only proof that it relays. */
async function tryTurn(server: RTCIceServer & { urls: string }): Promise<ServerSeen> {
  const start = performance.now()
  const configuration: RTCConfiguration = { iceServers: [server], iceTransportPolicy: 'relay' }
  let openAt: number | undefined
  const other = new RTCPeerConnection(configuration)
  try {
    await withConnection(configuration, (connection, done) => {
      for (const [from, to] of [
        [connection, other],
        [other, connection],
      ] as const) {
        from.addEventListener(
          'icecandidate',
          ({ candidate }) => void to.addIceCandidate(candidate ?? undefined).catch(ignore),
        )
      }
      connection.addEventListener('signalingstatechange', () => {
        if (connection.signalingState === 'have-local-offer') void answer(connection, other).catch(done)
      })
      connection.addEventListener('connectionstatechange', () => {
        if (connection.connectionState === 'connected') openAt = performance.now()
        if (connection.connectionState === 'connected' || connection.connectionState === 'failed') done()
      })
    })
  } finally {
    other.close()
  }
  if (openAt === undefined) return { url: server.urls, works: false }
  return { url: server.urls, works: true, time: Math.round(openAt - start) }
}

async function answer(connection: RTCPeerConnection, other: RTCPeerConnection): Promise<void> {
  await other.setRemoteDescription(connection.localDescription!)
  await other.setLocalDescription()
  await connection.setRemoteDescription(other.localDescription!)
}

/** A connection with an offer, until `done` or out of patience. */
async function withConnection(
  configuration: RTCConfiguration,
  listen: (connection: RTCPeerConnection, done: () => void) => void,
): Promise<void> {
  const connection = new RTCPeerConnection(configuration)
  let timer: ReturnType<typeof setTimeout> | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(resolve, PATIENCE)
      listen(connection, resolve)
      connection.createDataChannel('survey')
      connection.setLocalDescription().catch(reject)
    })
  } finally {
    clearTimeout(timer)
    connection.close()
  }
}

/** A candidate that comes after the description has changed, or the connection has ended. */
function ignore(): void {}
