import { PortMapper } from '@floe/nat/node'
import { joinRoom, type Peer, type Room } from '@floe/signaling'
import { type Connection, connect } from '@floe/webrtc'
import { type ConnectOptions, readConnectOptions } from './connect-options.ts'
import { Conversation } from './conversation.ts'
import { CliError, EXIT, type ExitCode } from './failure.ts'
import { connectionOptions, hasRelay } from './ice-servers.ts'
import { type Output, printable } from './output.ts'
import { describePath } from './path.ts'

/** `floe connect`: one connection to one peer, until it ends or we have nothing more to say. */
export async function connectCommand(args: string[], output: Output, interrupted: AbortSignal): Promise<ExitCode> {
  const options = await readConnectOptions(args)
  const { room: name, server } = options
  const room = await join(options, interrupted)
  await using portMapper = options.portMapping ? new PortMapper() : undefined
  let connection: Connection | undefined
  const hangUp = () => void connection?.close('interrupted')
  interrupted.addEventListener('abort', hangUp, { once: true })
  try {
    expectRelay(room, options)
    output.event('joined', { room: name, id: room.id, server }, `In room ${name}, waiting for a peer …`)
    connection = await connectToFirst(room, options, output, interrupted, portMapper)
    void connection.closed.then((reason) => {
      output.prompt = undefined // there is nobody left to type for
      output.event('closed', { reason }, reason === DONE ? undefined : `The connection has ended: ${printable(reason)}`)
    })
    if (interrupted.aborted) hangUp()
    const exitCode = await new Conversation(connection, options, output).run()
    return interrupted.aborted ? EXIT.interrupted : exitCode
  } finally {
    interrupted.removeEventListener('abort', hangUp)
    await connection?.close(DONE)
    await room.leave()
  }
}

/** What we tell the peer when we have nothing more to say. */
const DONE = 'done'

/** Interrupting ends the attempt only: a room that we are in is left at the very end, when the peer has our goodbye. */
async function join({ room, server, secret }: ConnectOptions, interrupted: AbortSignal): Promise<Room> {
  const attempt = new AbortController()
  const giveUp = () => attempt.abort()
  interrupted.addEventListener('abort', giveUp, { once: true })
  try {
    return await joinRoom(server, { room, signal: attempt.signal, ...(secret === undefined ? {} : { secret }) })
  } finally {
    interrupted.removeEventListener('abort', giveUp)
  }
}

/** The first peer with which a connection comes about; later ones are told that we are busy. */
async function connectToFirst(
  room: Room,
  options: ConnectOptions,
  output: Output,
  interrupted: AbortSignal,
  portMapper: PortMapper | undefined,
): Promise<Connection> {
  const patience =
    options.wait === undefined ? interrupted : AbortSignal.any([interrupted, AbortSignal.timeout(options.wait)])
  for (;;) {
    const peer = await nextPeer(room, patience, options)
    output.event('peer', { id: peer.id, agent: peer.agent }, `A ${peer.agent} peer is here, connecting …`)
    const gone = new AbortController()
    peer.onleave = () => gone.abort()
    try {
      const connection = await connect(peer, {
        ...connectionOptions(peer, options, portMapper),
        ...(options.key !== undefined && { secret: options.key }),
        signal: AbortSignal.any([interrupted, gone.signal]),
        onpeerconnection: (peerConnection) => reportServers(peerConnection, output),
      })
      room.onpeer = (other) => {
        if (other !== peer) other.send({ bye: 'busy with somebody else' })
      }
      output.event('connected', { peer: peer.id }, 'Connected.')
      reportPaths(connection, output)
      return connection
    } catch (error) {
      if (!gone.signal.aborted || interrupted.aborted) throw error
      output.event('peer-left', { id: peer.id }, 'The peer has left again, waiting for another …')
    }
  }
}

/** Where messages go, from now on. */
function reportPaths(connection: Connection, output: Output): void {
  const tell = async () => {
    const { path } = connection
    const ends = path === 'direct' ? await describePath(connection.peerConnection) : undefined
    if (connection.path !== path) return
    if (path === 'direct') output.event('path', { path, ...ends }, `The path is ${ends?.summary ?? 'direct'}`)
    else if (path === 'relay') output.event('path', { path }, 'The path is the signaling server, encrypted end to end')
  }
  connection.addEventListener('pathchange', () => void tell())
  void tell()
}

/** With --relay-only and no relay there is nothing to wait for. */
function expectRelay(room: Room, { iceServers, relayOnly }: ConnectOptions): void {
  if (!relayOnly || hasRelay(iceServers ?? room.iceServers)) return
  const message = 'There is no relay: neither the room nor --turn-server names a TURN server.'
  const hint = "Start the room's server with 'floe serve --turn', or name a TURN server of your own."
  throw new CliError('ERR_CLI_NO_RELAY', EXIT.turn, message, hint)
}

/** Servers that do not help, each once: without them the connection may well succeed, and if not, here is why. */
function reportServers(peerConnection: RTCPeerConnection, output: Output): void {
  const told = new Set<string>()
  peerConnection.addEventListener('icecandidateerror', ({ url, errorCode, errorText }) => {
    const words = `${url || 'ICE servers'}: ${errorCode} ${errorText}`
    if (told.has(words)) return
    told.add(words)
    output.event('server-error', { url, errorCode, errorText }, printable(words))
  })
}

function nextPeer(room: Room, patience: AbortSignal, { wait }: ConnectOptions): Promise<Peer> {
  return new Promise((resolve, reject) => {
    room.onpeer = (peer) => {
      room.onpeer = null
      resolve(peer)
    }
    void room.closed.then(reject)
    const impatient = () => {
      const hint = 'Start the other side first, check the name of the room, or wait longer with --wait.'
      reject(
        new CliError('ERR_CLI_NO_PEER', EXIT.noPeer, `Nobody came to room ${room.name} in ${wait! / 1000} s.`, hint),
      )
    }
    if (patience.aborted) impatient()
    patience.addEventListener('abort', impatient, { once: true })
  })
}
