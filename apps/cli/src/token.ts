import { DEFAULT_TOKEN_LIFETIME, issueRoomToken } from '@floe/signaling/server'
import { EXIT, type ExitCode, usageError } from './failure.ts'
import { parseOptions, parseSeconds } from './options.ts'
import type { Output } from './output.ts'
import { SECRET_VARIABLES } from './signaling-options.ts'

/** `floe token ROOM`: what opens a room of a server with a token secret. */
export async function tokenCommand(args: string[], output: Output): Promise<ExitCode> {
  const { values, positionals } = parseOptions('token', {
    args,
    allowPositionals: true,
    options: {
      'token-secret': { type: 'string' },
      user: { type: 'string' },
      lifetime: { type: 'string', default: `${DEFAULT_TOKEN_LIFETIME / 1000}` },
      json: { type: 'boolean' },
    },
  })
  const [room, ...more] = positionals
  if (room === undefined || more.length > 0) throw usageError('For which room? floe token ROOM', 'token')
  const secret = values['token-secret'] ?? process.env[SECRET_VARIABLES.tokens]
  if (secret === undefined) {
    throw usageError(`Signed with what? Set ${SECRET_VARIABLES.tokens}, or give --token-secret.`, 'token')
  }
  const lifetime = parseSeconds('token', 'lifetime', values.lifetime)
  const token = issueRoomToken({ secret, room, lifetime, ...(values.user === undefined ? {} : { user: values.user }) })
  output.result('token', { room, token }, token)
  return EXIT.done
}
