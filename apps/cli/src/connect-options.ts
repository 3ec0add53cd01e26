import type { FileSource } from '@floe/exchange'
import { usageError } from './failure.ts'
import { openFolder, openSource } from './files.ts'
import { type IceServerChoice, parseStunUrls, parseTurnServers } from './ice-servers.ts'
import { parseOptions, parseSeconds, parseSize } from './options.ts'

export interface ConnectOptions extends IceServerChoice {
  readonly room: string
  readonly server: string
  readonly secret: string | undefined
  /** What we and the peer know, and the server does not. */
  readonly key: string | undefined
  readonly send: readonly FileSource[]
  readonly receive: string | undefined
  /** Bytes. */
  readonly maxSize: number
  /** Milliseconds; `undefined`: as long as it takes. */
  readonly wait: number | undefined
  /** Milliseconds of silence after which we hang up; `undefined`: we leave that to the peer. */
  readonly linger: number | undefined
  /** Ask the router to let peers in. */
  readonly portMapping: boolean
}

/** @throws CliError when something is wrong with them, before anybody is bothered */
export async function readConnectOptions(args: string[]): Promise<ConnectOptions> {
  const { values, positionals } = parseOptions('connect', {
    args,
    allowPositionals: true,
    options: {
      server: { type: 'string', default: 'http://127.0.0.1:3000' },
      secret: { type: 'string' },
      key: { type: 'string' },
      send: { type: 'string', multiple: true, default: [] },
      receive: { type: 'string' },
      'max-size': { type: 'string', default: '1G' },
      stun: { type: 'string', multiple: true, default: [] },
      'turn-server': { type: 'string', multiple: true, default: [] },
      'turn-username': { type: 'string' },
      'turn-credential': { type: 'string' },
      'relay-only': { type: 'boolean', default: false },
      'no-port-mapping': { type: 'boolean', default: false },
      wait: { type: 'string' },
      linger: { type: 'string' },
      json: { type: 'boolean' },
    },
  })
  const [room, ...more] = positionals
  if (room === undefined) throw usageError('Which room? floe connect ROOM', 'connect')
  if (more.length > 0) throw usageError(`One room at a time: what is '${more[0]}'?`, 'connect')
  const { 'turn-server': turnUrls, 'turn-username': username, 'turn-credential': credential } = values
  const iceServers = [
    ...parseStunUrls('connect', values.stun),
    ...parseTurnServers('connect', turnUrls, username, credential),
  ]
  // Who takes files waits for them.
  const linger = values.linger ?? (values.receive === undefined ? '2' : undefined)
  return {
    room,
    server: values.server,
    secret: values.secret,
    key: values.key,
    send: await Promise.all(values.send.map(openSource)),
    receive: values.receive === undefined ? undefined : await openFolder(values.receive),
    maxSize: parseSize('connect', 'max-size', values['max-size']),
    iceServers: iceServers.length === 0 ? undefined : iceServers,
    relayOnly: values['relay-only'],
    portMapping: !values['no-port-mapping'] && !values['relay-only'],
    wait: values.wait === undefined ? undefined : parseSeconds('connect', 'wait', values.wait),
    linger: linger === undefined ? undefined : parseSeconds('connect', 'linger', linger),
  }
}
