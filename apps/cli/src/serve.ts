import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { addressScope } from '@floe/ice'
import {
  boundConnections,
  createSignalingServer,
  type IceServerOffer,
  type SignalingServer,
} from '@floe/signaling/server'
import sirv from 'sirv'
import { EchoPeer } from './echo-peer.ts'
import { CliError, EXIT, type ExitCode } from './failure.ts'
import { parseStunUrls } from './ice-servers.ts'
import { parseInteger, parseOptions } from './options.ts'
import type { Output } from './output.ts'
import { readSignalingOptions, SIGNALING_OPTIONS, type SignalingChoice } from './signaling-options.ts'
import { readStunOptions, STUN_OPTIONS, type StunOptions, type StunSupply, startStun } from './stun-service.ts'
import { ownAddresses } from './turn/addresses.ts'
import { readTurnOptions, TURN_OPTIONS, type TurnOptions } from './turn/options.ts'
import { startTurn, type TurnSupply } from './turn/supply.ts'

interface ServeOptions {
  readonly port: number
  readonly host: string
  readonly secret: string | undefined
  readonly stun: { urls: string[] }[]
  readonly ownStun: StunOptions | undefined
  readonly turn: TurnOptions | undefined
  readonly signaling: SignalingChoice
}

/** The servers that are run or paid for, beside the rooms. */
interface Supplies {
  readonly stun: StunSupply | undefined
  readonly turn: TurnSupply | undefined
}

/** `floe serve`: runs until `interrupted`. */
export async function serveCommand(args: string[], output: Output, interrupted: AbortSignal): Promise<ExitCode> {
  const options = readOptions(args)
  const httpServer = createServer(demoPage())
  boundConnections(httpServer, options.signaling.options)
  let turn: TurnSupply | undefined
  let stun: StunSupply | undefined
  try {
    await listen(httpServer, options)
    const { address } = httpServer.address() as AddressInfo
    if (options.turn !== undefined) turn = await startTurn(options.turn, address, output)
    if (options.ownStun !== undefined) stun = await startStun(options.ownStun, address, output)
    await serveRooms(httpServer, options, { stun, turn }, output, interrupted)
  } finally {
    await Promise.all([turn?.stop(), stun?.stop()])
    await closeServer(httpServer)
  }
  output.event('stopped', {}, 'floe has stopped')
  return EXIT.done
}

/** Lets people in: the HTTP server listens already, and the relays work. */
async function serveRooms(
  httpServer: Server,
  options: ServeOptions,
  supplies: Supplies,
  output: Output,
  interrupted: AbortSignal,
): Promise<void> {
  let signaling: SignalingServer | undefined
  const echo = new EchoPeer({
    server: () => signaling!.url,
    isOpen: (room) => signaling!.peersIn(room) > 0,
    tokenSecret: options.signaling.tokenSecret,
    output,
  })
  signaling = await createSignalingServer({
    ...options.signaling.options,
    httpServer,
    ...(options.secret === undefined ? {} : { roomSecret: options.secret }),
    iceServers: (_room, peer) => offer(peer, options, supplies),
    onRoom: (room, secret) => echo.attend(room, secret),
  })
  try {
    announce(httpServer, signaling.url, options, supplies.turn, output)
    if (!interrupted.aborted) await once(interrupted, 'abort')
  } finally {
    await echo.close()
    await signaling.stop({ drain: options.signaling.drain })
  }
}

function offer(peer: string, { stun: others }: ServeOptions, { stun, turn }: Supplies): IceServerOffer[] {
  return [...others, ...(stun ? [{ urls: stun.urls }] : []), ...(turn ? [turn.issue(peer)] : [])]
}

function readOptions(args: string[]): ServeOptions {
  const { values } = parseOptions('serve', {
    args,
    options: {
      port: { type: 'string', default: '3000' },
      host: { type: 'string', default: '127.0.0.1' },
      secret: { type: 'string' },
      stun: { type: 'string', multiple: true, default: [] },
      ...SIGNALING_OPTIONS,
      ...STUN_OPTIONS,
      ...TURN_OPTIONS,
      json: { type: 'boolean' },
    },
  })
  return {
    port: parseInteger('serve', 'port', values.port, 0, 65_535),
    host: values.host,
    secret: values.secret,
    stun: parseStunUrls('serve', values.stun),
    ownStun: readStunOptions(values),
    turn: readTurnOptions(values),
    signaling: readSignalingOptions(values),
  }
}

/** The built demo, or a word on how to build it. */
function demoPage(): RequestListener {
  const folder = fileURLToPath(new URL('../../demo/dist', import.meta.url))
  if (!existsSync(folder)) {
    return (_request, response) => {
      response.writeHead(503, { 'content-type': 'text/plain' })
      response.end('The demo page is not built: run npm start, or npm run build, in the repository.\n')
    }
  }
  return sirv(folder, {
    etag: true,
    setHeaders: (response) => {
      response.setHeader('x-content-type-options', 'nosniff')
      response.setHeader('x-frame-options', 'DENY')
      response.setHeader('referrer-policy', 'no-referrer')
    },
  })
}

function announce(
  httpServer: Server,
  url: string,
  { host, secret, port, signaling }: ServeOptions,
  turn: TurnSupply | undefined,
  output: Output,
): void {
  const address = httpServer.address() as AddressInfo
  output.result('listening', { url: `${url}/`, host, port: address.port }, `floe is ready: ${url}/`)
  if (turn !== undefined)
    output.event('relaying', { urls: turn.urls }, `Relayed, where need be, by ${turn.urls.join(' ')}`)
  if (addressScope(address.address) === 'loopback') return
  const others = lanAddresses().map((ip) => `http://${ip}:${address.port || port}/`)
  const may = turn === undefined ? 'join' : 'join and be relayed'
  const warning =
    secret === undefined && signaling.tokenSecret === undefined
      ? `Everybody who can reach it may ${may}; --secret keeps strangers out.`
      : ''
  output.event('exposed', { urls: others }, `From other machines: ${others.join(' ')}\n${warning}`.trimEnd())
}

function lanAddresses(): string[] {
  return ownAddresses()
    .filter(({ internal, family }) => !internal && family === 'IPv4')
    .map(({ address }) => address)
}

async function listen(httpServer: Server, { port, host }: ServeOptions): Promise<void> {
  try {
    httpServer.listen(port, host)
    await once(httpServer, 'listening')
  } catch (error) {
    throw listenError(error as NodeJS.ErrnoException, port, host)
  }
}

function listenError(error: NodeJS.ErrnoException, port: number, host: string): CliError {
  const code = 'ERR_CLI_LISTEN'
  const cause = { cause: error }
  switch (error.code) {
    case 'EADDRINUSE': {
      const hint = `Take another with --port, such as --port ${port < 65_535 ? port + 1 : 3000}, or any free one with --port 0.`
      return new CliError(code, EXIT.signaling, `Port ${port} of ${host} is taken by another program.`, hint, cause)
    }
    case 'EACCES':
      return new CliError(
        code,
        EXIT.signaling,
        `Port ${port} needs more rights.`,
        'Use --port with 1024 or more.',
        cause,
      )
    default: {
      const hint = 'See --host: an address of this machine, 127.0.0.1 or 0.0.0.0.'
      return new CliError(code, EXIT.signaling, `Cannot listen on ${host}: ${error.message}.`, hint, cause)
    }
  }
}

function closeServer(httpServer: Server): Promise<void> {
  if (!httpServer.listening) return Promise.resolve()
  return new Promise((resolve) => {
    httpServer.close(() => resolve())
    httpServer.closeAllConnections()
  })
}
