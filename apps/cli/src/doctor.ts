import { randomUUID } from 'node:crypto'
import { joinRoom } from '@floe/signaling'
import { examine } from './doctor/examine.ts'
import { judge, type Verdict } from './doctor/findings.ts'
import { inWords } from './doctor/words.ts'
import { EXIT, type ExitCode, usageError } from './failure.ts'
import { parseStunUrls, parseTurnServers } from './ice-servers.ts'
import { parseOptions } from './options.ts'
import type { Output } from './output.ts'

/** `floe doctor`: what this network does to connections, and what works in it. */
export async function doctorCommand(args: string[], output: Output, interrupted: AbortSignal): Promise<ExitCode> {
  const { named, server, secret, portMapping } = readOptions(args)
  const offered = server === undefined ? [] : await askRoom(server, secret, interrupted)
  const iceServers = [...named, ...offered]
  output.event(
    'examining',
    { servers: iceServers.flatMap(({ urls }) => urls) },
    'Looking around, ten seconds at most …',
  )
  const findings = await examine({ iceServers, portMapping, signal: interrupted })
  const verdict = judge(findings)
  output.result('findings', { verdict, ...findings }, `\n${inWords(findings, verdict)}`.trimEnd())
  return EXIT_CODES[verdict]
}

const EXIT_CODES: Readonly<Record<Verdict, ExitCode>> = {
  open: EXIT.done,
  direct: EXIT.done,
  unknown: EXIT.done,
  hard: EXIT.relayed,
  'relay-only': EXIT.relayed,
  stuck: EXIT.connection,
}

interface DoctorOptions {
  readonly named: RTCIceServer[]
  /** Signaling server whose rooms offer servers. */
  readonly server: string | undefined
  readonly secret: string | undefined
  readonly portMapping: boolean
}

function readOptions(args: string[]): DoctorOptions {
  const { values, positionals } = parseOptions('doctor', {
    args,
    allowPositionals: true,
    options: {
      stun: { type: 'string', multiple: true, default: [] },
      'turn-server': { type: 'string', multiple: true, default: [] },
      'turn-username': { type: 'string' },
      'turn-credential': { type: 'string' },
      server: { type: 'string' },
      secret: { type: 'string' },
      'no-port-mapping': { type: 'boolean', default: false },
      json: { type: 'boolean' },
    },
  })
  if (positionals.length > 0) throw usageError(`floe doctor takes options only: what is '${positionals[0]}'?`, 'doctor')
  const { 'turn-server': turnUrls, 'turn-username': username, 'turn-credential': credential } = values
  return {
    named: [...parseStunUrls('doctor', values.stun), ...parseTurnServers('doctor', turnUrls, username, credential)],
    server: values.server,
    secret: values.secret,
    portMapping: !values['no-port-mapping'],
  }
}

/** Rooms are told of servers on joining; one that nobody knows disturbs nobody. */
async function askRoom(server: string, secret: string | undefined, signal: AbortSignal): Promise<RTCIceServer[]> {
  const room = await joinRoom(server, {
    room: `doctor-${randomUUID()}`,
    signal,
    ...(secret === undefined ? {} : { secret }),
  })
  const servers = [...room.iceServers] as RTCIceServer[]
  await room.leave()
  return servers
}
