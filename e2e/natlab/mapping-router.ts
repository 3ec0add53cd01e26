/** A home router that maps ports for who asks: miniupnpd, with the chains of `mappingRules()`. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Placement } from '../topology/placement.ts'
import { inNamespace, runFolder } from './namespaces.ts'
import type { Surroundings } from './nat64.ts'

type Protocols = NonNullable<Placement['mappingProtocols']>

/** miniupnpd on a router. */
export class MappingRouter {
  readonly #surroundings: Surroundings
  readonly #name: string
  readonly #config: string
  #daemon: ChildProcess | undefined

  constructor(surroundings: Surroundings, name: string, protocols: Protocols) {
    this.#surroundings = surroundings
    this.#name = name
    const folder = join(runFolder(), surroundings.namespace(name))
    mkdirSync(folder, { recursive: true })
    this.#config = join(folder, 'miniupnpd.conf')
    writeFileSync(this.#config, configuration(protocols))
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const line = inNamespace(this.#surroundings.namespace(this.#name), ['miniupnpd', '-d', '-f', this.#config])
    const daemon = spawn(line[0]!, [...line.slice(1), '-P', `${this.#config}.pid`], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#surroundings.adopt(daemon)
    this.#daemon = daemon
    let said = ''
    await new Promise<void>((resolve, reject) => {
      const listen = (text: Buffer) => {
        said = (said + text).slice(-4_000)
        if (/HTTP listening on port|Listening for NAT-PMP/.test(said)) setTimeout(resolve, 50)
      }
      daemon.stdout!.on('data', listen)
      daemon.stderr!.on('data', listen)
      daemon.once('exit', (code) => reject(new Error(`miniupnpd ended (${code}): ${said}`)))
    })
  }

  /** Pulls the plug: the daemon is gone, with every mapping and every flow through one. */
  async stop(): Promise<void> {
    const daemon = this.#daemon
    this.#daemon = undefined
    if (daemon && daemon.exitCode === null && daemon.signalCode === null) {
      const ended = new Promise((resolve) => daemon.once('exit', resolve))
      daemon.kill('SIGKILL')
      await ended
    }
    await this.#flush('miniupnpd', 'prerouting_miniupnpd', 'postrouting_miniupnpd')
    await this.#surroundings.run(this.#name, 'conntrack -F 2>/dev/null')
  }

  /** Mappings are listed and translated as before, and nothing comes through any more, the flows that there are included. */
  async breakForwarding(): Promise<void> {
    await this.#flush('miniupnpd')
    await this.#surroundings.run(this.#name, 'conntrack -F 2>/dev/null')
  }

  /** External ports that are mapped, and whether packets to them pass. */
  async mappings(): Promise<{ port: number; forwards: boolean }[]> {
    const rules = String(await this.#surroundings.run(this.#name, 'nft list table inet mapping'))
    const translated = [...rules.matchAll(/dport (\d+) dnat ip to [\d.]+:(\d+)/g)]
    const accepted = rules.split('\n').filter((line) => / accept/.test(line))
    return translated.map(([, port, internal]) => ({
      port: Number(port),
      forwards: accepted.some((line) => line.includes(`dport ${internal} `)),
    }))
  }

  async #flush(...chains: string[]): Promise<void> {
    const lines = chains.map((chain) => `nft flush chain inet mapping ${chain}`)
    await this.#surroundings.run(this.#name, lines.join('\n'))
  }
}

function configuration(protocols: Protocols): string {
  const yes = (...names: Protocols) => (names.some((name) => protocols.includes(name)) ? 'yes' : 'no')
  return `ext_ifname=wan
listening_ip=lan
enable_natpmp=${yes('pcp', 'nat-pmp')}
enable_upnp=${yes('upnp')}
secure_mode=yes
upnp_table_name=mapping
upnp_nat_table_name=mapping
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
uuid=00000000-0000-0000-0000-000000000001
allow 1024-65535 0.0.0.0/0 1024-65535
`
}
