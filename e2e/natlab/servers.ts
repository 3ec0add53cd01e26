/** coturn at the two server addresses: the internet's STUN, and TURN for those that are told of it. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Internet } from './internet.ts'
import { inNamespace, runFolder } from './namespaces.ts'
import { SERVER_ADDRESSES } from './plan.ts'

/** What its log says when all its sockets are open. */
const READY = 'Total General servers'

const ACCOUNT = { username: 'lab', credential: 'lab' } as const

export async function startServers(internet: Internet): Promise<void> {
  const namespace = internet.namespace('servers')
  const file = (ending: string) => join(runFolder(), `${namespace}.${ending}`)
  const options = [
    ...['-n', '--no-cli', '--no-tls', '--no-dtls', '-m', '0', '--log-file=stdout', '--simple-log'],
    ...['--lt-cred-mech', '--user', `${ACCOUNT.username}:${ACCOUNT.credential}`, '--realm', 'natlab'],
    ...['--userdb', file('db'), '--pidfile', file('pid')],
    ...SERVER_ADDRESSES.flatMap((address) => ['--listening-ip', address]),
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
}

/** For a peer's configuration: two STUN servers of each family, and with `relay` the TURN server. */
export function iceServers({ relay }: { readonly relay: boolean }): RTCIceServer[] {
  const hosts = SERVER_ADDRESSES.map((address) => (address.includes(':') ? `[${address}]` : address))
  const stun = { urls: hosts.map((host) => `stun:${host}:3478`) }
  const urls = ['udp', 'tcp'].flatMap((transport) => [
    `turn:${hosts[0]}:3478?transport=${transport}`,
    `turn:${hosts[2]}:3478?transport=${transport}`,
  ])
  return relay ? [stun, { urls, ...ACCOUNT }] : [stun]
}
