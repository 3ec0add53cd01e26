import { DEFAULT_LIMITS, type SignalingServerOptions } from '@floe/signaling/server'
import { usageError } from './failure.ts'
import { parseInteger, parseSeconds } from './options.ts'

/** For `parseArgs`. */
export const SIGNALING_OPTIONS = {
  origin: { type: 'string', multiple: true },
  'token-secret': { type: 'string' },
  redis: { type: 'string' },
  proxies: { type: 'string', default: '0' },
  'max-connections': { type: 'string' },
  'max-per-address': { type: 'string' },
  metrics: { type: 'boolean', default: false },
  log: { type: 'boolean', default: false },
  drain: { type: 'string', default: '0' },
} as const

export interface SignalingValues {
  readonly origin?: string[] | undefined
  readonly 'token-secret'?: string | undefined
  readonly redis?: string | undefined
  readonly proxies: string
  readonly 'max-connections'?: string | undefined
  readonly 'max-per-address'?: string | undefined
  readonly metrics: boolean
  readonly log: boolean
  readonly drain: string
}

export interface SignalingChoice {
  readonly options: SignalingServerOptions
  readonly tokenSecret: string | undefined
  /** Milliseconds. */
  readonly drain: number
}

/** Not on the command line, since that is for everybody on the machine to read. */
export const SECRET_VARIABLES = { tokens: 'FLOE_TOKEN_SECRET', redis: 'FLOE_REDIS_URL' } as const

/** More proxies than anybody has. */
const MAX_PROXIES = 10

export function readSignalingOptions(values: SignalingValues): SignalingChoice {
  const tokenSecret = values['token-secret'] ?? process.env[SECRET_VARIABLES.tokens]
  const url = values.redis ?? process.env[SECRET_VARIABLES.redis]
  if (url !== undefined && !/^rediss?:\/\/./.test(url)) {
    throw usageError(`--redis wants an address such as redis://127.0.0.1:6379, not '${url}'.`, 'serve')
  }
  const { origin = [] } = values
  const limits = {
    connections: limit(values, 'max-connections', DEFAULT_LIMITS.connections),
    connectionsPerAddress: limit(values, 'max-per-address', DEFAULT_LIMITS.connectionsPerAddress),
  }
  const options: SignalingServerOptions = {
    limits,
    origins: origin.includes('*') ? '*' : origin.map(parseOrigin),
    trustedProxies: parseInteger('serve', 'proxies', values.proxies, 0, MAX_PROXIES),
    metricsPath: values.metrics ? '/metrics' : false,
    ...(tokenSecret === undefined ? {} : { tokenSecret }),
    ...(url === undefined ? {} : { redis: { url } }),
    ...(values.log ? { log: writeLog } : {}),
  }
  return { options, tokenSecret, drain: parseSeconds('serve', 'drain', values.drain) }
}

function limit(values: SignalingValues, name: 'max-connections' | 'max-per-address', preset: number): number {
  const text = values[name]
  return text === undefined ? preset : parseInteger('serve', name, text, 1, 1_000_000)
}

function parseOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && url.origin !== 'null') return url.origin
  throw usageError(`--origin wants the address of a web site, such as https://example.org, not '${text}'.`, 'serve')
}

/** To stderr, one JSON object per line: what log collectors take. */
function writeLog(record: object): void {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), ...record })}\n`)
}
