/** An internet out of Linux network namespaces, for as long as somebody holds it. */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Placement } from '../topology/placement.ts'
import { LINE_DEVICE, Line } from './line.ts'
import { MappingRouter } from './mapping-router.ts'
import { inNamespace, namespaceName, removeNamespaces } from './namespaces.ts'
import { resolverFile, startNat64 } from './nat64.ts'
import { type HostPlan, type Leg, type NamespacePlan, type Plan, planInternet } from './plan.ts'

export interface InternetOptions {
  /** Where each host stands. */
  readonly hosts: Readonly<Record<string, readonly Placement[]>>
  /** Milliseconds one way between a host and the core, so that two hosts are four of these apart. Default 10. */
  readonly latency?: number
  /** Of the delay line. Default 1. */
  readonly seed?: number
}

const LATENCY = 10

let internets = 0

export class Internet implements AsyncDisposable {
  readonly plan: Plan
  /** Routers that map ports, by name. */
  readonly mappingRouters = new Map<string, MappingRouter>()
  readonly #prefix = `${++internets}-`
  readonly #children = new Set<ChildProcess>()
  #line: Line | undefined

  static async build(options: InternetOptions): Promise<Internet> {
    const internet = new Internet(planInternet(options.hosts))
    try {
      await internet.#build(options)
    } catch (error) {
      await internet.close()
      throw error
    }
    return internet
  }

  private constructor(plan: Plan) {
    this.plan = plan
  }

  host(name: string): HostPlan {
    const host = this.plan.hosts.get(name)
    if (!host) throw new Error(`there is no host ${name}: there are ${[...this.plan.hosts.keys()].join(', ')}`)
    return host
  }

  /** The kernel's name of a host's, router's, or the servers' namespace. */
  namespace(name: string): string {
    return namespaceName(this.#prefix + name)
  }

  get line(): Line {
    return this.#line!
  }

  /** The command line that runs `command` where this host stands, with the host's own resolver. */
  command(host: string, command: readonly string[]): string[] {
    const { nameServer } = this.plan.hosts.get(host) ?? {}
    if (!nameServer) return inNamespace(this.namespace(host), command)
    const mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    const withResolver = ['unshare', '--mount', 'sh', '-c', mount, resolverFile(this, host, nameServer), ...command]
    return inNamespace(this.namespace(host), withResolver)
  }

  /** Runs a shell script in a namespace; resolves with its output, rejects with its complaints. */
  run(name: string, script: string): Promise<string> {
    return output(inNamespace(this.namespace(name), ['sh', '-e', '-s']), script)
  }

  /** A process that ends with this internet at the latest. */
  adopt(child: ChildProcess): void {
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
  }

  async close(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL')
    await this.#line?.close()
    removeNamespaces([...this.plan.namespaces.keys()].map((name) => this.namespace(name)))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #build({ latency = LATENCY, seed = 1 }: InternetOptions): Promise<void> {
    const { namespaces, cables, legs } = this.plan
    const lines = [...namespaces.keys()].map((name) => `netns add ${this.namespace(name)}`)
    for (const [[a, device], [b, peer]] of cables) {
      const [near, far] = [this.namespace(a), this.namespace(b)]
      lines.push(`link add ${device} netns ${near} type veth peer name ${peer} netns ${far}`)
    }
    await output(['ip', '-batch', '-'], lines.join('\n'))
    await Promise.all([...namespaces].map(([name, plan]) => this.run(name, script(plan))))
    await this.run('core', coreScript(this.plan))
    this.#line = new Line(this.namespace('core'), seed)
    const wire = (leg: Leg) => this.line.attach(leg, { latency: leg.name === 'servers' ? 0 : latency, ...leg.link })
    await Promise.all(legs.map(wire))
    for (const [name, { nat64, mappingProtocols }] of this.plan.routers) {
      if (nat64) await startNat64(this, name, nat64)
      if (!mappingProtocols) continue
      const router = new MappingRouter(this, name, mappingProtocols)
      this.mappingRouters.set(name, router)
      await router.start()
    }
  }
}

function script({ ip, sysctl, nft }: NamespacePlan): string {
  return [
    here('ip -batch -', ip),
    ...sysctl.map(([pattern, value]) => `for file in /proc/sys/${pattern}; do echo ${value} > "$file"; done`),
    here('nft -f -', nft),
  ].join('\n')
}

/** Whatever comes in from a leg goes through the delay line before it is routed. */
function coreScript({ legs }: Plan): string {
  const device = [
    `tuntap add dev ${LINE_DEVICE} mode tun`,
    `link set dev ${LINE_DEVICE} addrgenmode none`,
    `link set dev ${LINE_DEVICE} up`,
  ]
  const detour = [
    `route add default dev ${LINE_DEVICE} table 7`,
    ...legs.map((leg) => `rule add iif ${leg.device} lookup 7`),
  ]
  return [
    here('ip -batch -', [...device, ...detour]),
    here('ip -6 -batch -', detour),
    here('nft -f -', [DISTANCE]),
  ].join('\n')
}

/** The core is one machine, the internet between two homes is many: a packet of few hops does not get through. */
const DISTANCE = 'table ip distance { chain forward { type filter hook forward priority 0; ip ttl < 10 drop; }; }'

function here(command: string, lines: readonly string[]): string {
  return lines.length > 0 ? `${command} <<'end'\n${lines.join('\n')}\nend` : ''
}

function output([command, ...args]: readonly string[], input: string): Promise<string> {
  const child = spawn(command!, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let [out, complaints] = ['', '']
  child.stdout.on('data', (text) => {
    out += text
  })
  child.stderr.on('data', (text) => {
    complaints += text
  })
  child.stdin.on('error', () => {}) // It would not listen: its exit code says why.
  child.stdin.end(input)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve(out)
      else reject(new Error(`${command} ${args.join(' ')} (${code}): ${complaints.trim()}\n${input}`))
    })
  })
}
