/**
 * A home behind a real router, in network namespaces of its own: host — router (nftables, miniupnpd) — internet.
 * Laid by the test that runs another test file inside; that one finds it again by `FLOE_NAT_HOME`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Address } from '@floe/stun'

/** Set where a test file runs in the host's namespace: the names of all three begin with it. */
export const homeName = process.env.FLOE_NAT_HOME

export const HOST = { 4: '192.168.1.2', 6: '2001:db8:1::2' } as const
export const ROUTER = { 4: '192.168.1.1', 6: 'fe80::1%eth0' } as const
/** The router's outside. A public address: miniupnpd takes no documentation addresses for one. */
export const WAN = '11.22.33.2'
/** Hosts of the internet: two addresses, for those who want to see what a NAT makes of that. */
export const INTERNET = ['11.22.33.1', '11.22.33.11'] as const

/** Why there can be no home here, or `undefined`. */
export function whyNoHome(...programs: string[]): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return '(left out: takes root on Linux)'
  for (const program of ['ip', 'nft', ...programs]) {
    if (spawnSync('which', [program]).status !== 0) return `(left out: ${program} is not installed)`
  }
  return spawnSync('ip', ['netns', 'list']).status === 0 ? undefined : '(left out: no network namespaces here)'
}

/** Runs a test file in the host's namespace of a new home. */
export function runAtHome(file: string, timeout: number): { status: number | null; output: string } {
  const name = `floe-nat-${process.pid}-${Math.floor(performance.now())}`
  const inside = { internet: `${name}-internet`, router: `${name}-router`, host: `${name}-host` }
  try {
    for (const namespace of Object.values(inside)) ip('netns', 'add', namespace)
    lay(inside)
    const vitest = [process.execPath, 'node_modules/vitest/vitest.mjs', 'run', '--project', 'unit', file]
    const env = { ...process.env, FLOE_NAT_HOME: name }
    const run = spawnSync('ip', ['netns', 'exec', inside.host, ...vitest], { env, encoding: 'utf8', timeout })
    return { status: run.status, output: run.stdout + run.stderr }
  } finally {
    for (const namespace of Object.values(inside)) tearDown(namespace)
  }
}

/** Runs a command in a namespace of the home around us. */
export function at(place: 'internet' | 'router', ...command: string[]): string {
  const run = spawnSync('ip', ['netns', 'exec', `${homeName}-${place}`, ...command], {
    encoding: 'utf8',
    timeout: 20_000,
  })
  if (run.status !== 0) throw new Error(`${command.join(' ')}: ${run.stderr}${run.stdout}`)
  return run.stdout
}

/** Starts a program in a namespace of the home around us. */
export function spawnAt(place: 'internet' | 'router', ...command: string[]): ChildProcess {
  return spawn('ip', ['netns', 'exec', `${homeName}-${place}`, ...command], { stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Sends a datagram from the internet; the answer's origin when there is one within a second. */
export function knock({ ip: host, port }: Address): Promise<string | undefined> {
  const script = `
    const socket = require('dgram').createSocket('${host.includes(':') ? 'udp6' : 'udp4'}')
    const knock = () => socket.send('knock', ${port}, '${host}')
    socket.on('message', (_, { address, port }) => { console.log(address + ' ' + port); process.exit() })
    knock(); setInterval(knock, 200); setTimeout(() => process.exit(), 1000)`
  const child = spawnAt('internet', process.execPath, '-e', script)
  let output = ''
  child.stdout?.on('data', (text) => {
    output += text
  })
  return new Promise((resolve) => child.on('exit', () => resolve(output.trim() || undefined)))
}

/** A UDP socket of the host that answers whoever knocks. */
export async function openDoor(ip: string, port: number): Promise<Socket> {
  const socket = createSocket(ip.includes(':') ? 'udp6' : 'udp4')
  socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address))
  socket.bind(port, ip)
  await once(socket, 'listening')
  return socket
}

/** miniupnpd on the router, with real rules. */
export class Router implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'floe-nat-'))
  readonly #config: string
  #daemon: ChildProcess | undefined

  constructor({ natPmp = true, upnp = true } = {}) {
    this.#config = join(this.#folder, 'miniupnpd.conf')
    writeFileSync(this.#config, miniupnpdConfig(natPmp, upnp))
  }

  /** Resolves when it listens. NAT-PMP here means PCP, too: miniupnpd has one switch for both. */
  async start(): Promise<void> {
    const daemon = spawnAt('router', 'miniupnpd', '-d', '-f', this.#config, '-P', join(this.#folder, 'pid'))
    this.#daemon = daemon
    let log = ''
    await new Promise<void>((resolve, reject) => {
      const listen = (text: Buffer) => {
        log += text
        if (/HTTP listening on port|Listening for NAT-PMP/.test(log)) setTimeout(resolve, 50)
      }
      daemon.stderr?.on('data', listen)
      daemon.stdout?.on('data', listen)
      daemon.on('exit', () => reject(new Error(`miniupnpd ended: ${log}`)))
    })
  }

  /** Pulls the plug: the daemon is gone, and every rule that it has made. */
  async stop(): Promise<void> {
    const daemon = this.#daemon
    this.#daemon = undefined
    if (daemon && daemon.exitCode === null) {
      daemon.removeAllListeners('exit')
      daemon.kill('SIGKILL')
      await once(daemon, 'exit')
    }
    for (const chain of ['miniupnpd', 'prerouting_miniupnpd', 'postrouting_miniupnpd']) flush(chain)
  }

  /** The mappings are listed and translated as before, and the firewall lets nothing through any more. */
  breakForwarding(): void {
    flush('miniupnpd')
  }

  /** One line for each mapping: what translates IPv4, and what lets IPv6 in. */
  rules(): string[] {
    const translating = at('router', 'nft', 'list', 'chain', 'inet', 'filter', 'prerouting_miniupnpd')
    const accepting = at('router', 'nft', 'list', 'chain', 'inet', 'filter', 'miniupnpd')
    // An IPv4 mapping has an accepting rule as well; its destination is matched by the 32 bits of that header.
    const isMapping = (line: string) => / dnat /.test(line) || (/ accept/.test(line) && !line.includes('@nh,128,32'))
    return `${translating}${accepting}`.split('\n').filter(isMapping)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function flush(chain: string): void {
  at('router', 'nft', 'flush', 'chain', 'inet', 'filter', chain)
}

function lay({ internet, router, host }: Record<'internet' | 'router' | 'host', string>): void {
  for (const namespace of [internet, router, host]) ip('-n', namespace, 'link', 'set', 'lo', 'up')
  cable(router, 'wan', internet)
  cable(router, 'lan', host)
  address(router, 'wan', `${WAN}/24`, '2001:db8:2::2/64')
  address(internet, 'eth0', ...INTERNET.map((each) => `${each}/24`), '2001:db8:2::1/64')
  address(router, 'lan', `${ROUTER[4]}/24`, 'fe80::1/64', '2001:db8:1::1/64')
  address(host, 'eth0', `${HOST[4]}/24`, `${HOST[6]}/64`)
  ip('-n', host, 'route', 'add', 'default', 'via', ROUTER[4])
  ip('-n', host, '-6', 'route', 'add', 'default', 'via', 'fe80::1', 'dev', 'eth0')
  ip('-n', router, 'route', 'add', 'default', 'via', INTERNET[0])
  ip('-n', internet, '-6', 'route', 'add', '2001:db8:1::/64', 'via', '2001:db8:2::2')
  run('ip', 'netns', 'exec', router, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1')
  run('ip', 'netns', 'exec', router, 'nft', RULES)
}

function cable(router: string, name: string, other: string): void {
  ip('-n', router, 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', other)
  for (const [namespace, device] of [
    [router, name],
    [other, 'eth0'],
  ] as const) {
    ip('-n', namespace, 'link', 'set', device, 'addrgenmode', 'none')
    ip('-n', namespace, 'link', 'set', device, 'up', 'multicast', 'on')
  }
}

function address(namespace: string, device: string, ...addresses: string[]): void {
  for (const each of addresses) {
    const flags = each.includes(':') ? ['nodad'] : []
    ip('-n', namespace, 'address', 'add', each, 'dev', device, ...flags)
  }
}

/** A home router as Linux makes it: masquerade, a stateful firewall in both families, and chains for miniupnpd. */
const RULES = `
table inet filter {
  chain input {
    type filter hook input priority 0; policy accept;
    iifname "wan" ct state new meta l4proto udp drop
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    ct state established,related accept
    jump miniupnpd
    iifname "wan" drop
  }
  chain miniupnpd {
  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    jump prerouting_miniupnpd
  }
  chain prerouting_miniupnpd {
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    oifname "wan" meta nfproto ipv4 masquerade
    jump postrouting_miniupnpd
  }
  chain postrouting_miniupnpd {
  }
}`

function miniupnpdConfig(natPmp: boolean, upnp: boolean): string {
  return `ext_ifname=wan
listening_ip=lan
enable_natpmp=${natPmp ? 'yes' : 'no'}
enable_upnp=${upnp ? 'yes' : 'no'}
secure_mode=yes
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
uuid=00000000-0000-0000-0000-000000000001
allow 1024-65535 0.0.0.0/0 1024-65535
`
}

function tearDown(namespace: string): void {
  const pids = spawnSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' }).stdout ?? ''
  for (const pid of pids.split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {} // It ended by itself meanwhile.
  }
  spawnSync('ip', ['netns', 'delete', namespace])
}

function ip(...args: string[]): void {
  run('ip', ...args)
}

function run(command: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
}
