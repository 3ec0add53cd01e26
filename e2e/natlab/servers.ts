/** coturn at the two server addresses: the internet's STUN, and TURN for those that are told of it. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Internet } from './internet.ts'
import { inNamespace, runFolder } from './namespaces.ts'
import { STUN_NAME } from './nat64.ts'
import { SERVER_ADDRESSES } from './plan.ts'

/** What its log says when all its sockets are open. */
const READY = 'Total General servers'

/** The one port that the strictest networks let TCP leave to. */
const HTTPS = 443

const ACCOUNT = { username: 'lab', credential: 'lab' } as const

/** Stands still, or goes on: servers that take requests and never answer. */
export interface Servers {
  suspend(): void
  resume(): void
}

/** All of them in one process, or those at these addresses. */
export async function startServers(
  internet: Internet,
  addresses: readonly string[] = SERVER_ADDRESSES,
): Promise<Servers> {
  const namespace = internet.namespace('servers')
  const file = (ending: string) => join(runFolder(), `${namespace}.${addresses[0]}.${ending}`)
  const options = [
    ...['-n', '--no-cli', '--no-tls', '--no-dtls', '-m', '0', '--log-file=stdout', '--simple-log'],
    ...['--lt-cred-mech', '--user', `${ACCOUNT.username}:${ACCOUNT.credential}`, '--realm', 'natlab'],
    ...['--userdb', file('db'), '--pidfile', file('pid')],
    ...addresses.flatMap((address) => ['--listening-ip', address]),
    ...(addresses.includes(SERVER_ADDRESSES[0]) ? ['--aux-server', `${SERVER_ADDRESSES[0]}:${HTTPS}`] : []),
  ]
  const [command, ...args] = inNamespace(namespace, ['turnserver', ...options])
  const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  internet.adopt(child)
  const said: string[] = []
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`turnserver ended (${code}):\n${said.join('\n')}`)))
    createInterface(child.stdout!).on('line', (line) => {
      if (line.includes(READY)) resolve()
      if (said.length < 100) said.push(line)
    })
  })
  return { suspend: () => void child.kill('SIGSTOP'), resume: () => void child.kill('SIGCONT') }
}

export interface ServerOptions {
  /** Offers the TURN server too. */
  readonly relay: boolean
}

/** TURN servers at these addresses, over UDP, and nothing else. */
export function turnServers(addresses: readonly string[]): RTCIceServer[] {
  return [{ urls: addresses.map((address) => `turn:${address}:3478?transport=udp`), ...ACCOUNT }]
}

/** What a peer on this host is told. */
export function iceServers(internet: Internet, host: string, { relay }: ServerOptions): RTCIceServer[] {
  const [v4, other, v6] = SERVER_ADDRESSES
  const stun = [v4, other, `[${v6}]`]
  // Who has no IPv4 address must ask for names, to be given an address that leads through the NAT64.
  if (internet.host(host).nameServer) stun.push(STUN_NAME)
  const turn = [`${v4}:3478?transport=udp`, `${v4}:${HTTPS}?transport=tcp`, `[${v6}]:3478?transport=udp`]
  return [
    { urls: stun.map((server) => `stun:${server}:3478`) },
    ...(relay ? [{ urls: turn.map((server) => `turn:${server}`), ...ACCOUNT }] : []),
  ]
}
