/** What a router does, measured from both sides with plain UDP: the lab's check on itself. RFC 5780 §4.3 and §4.4. */
import type { Dependence } from '../topology/behavior.ts'
import type { Internet } from './internet.ts'
import { SERVER_ADDRESSES } from './plan.ts'
import { startRemote } from './remote.ts'

export interface Measured {
  readonly mapping: Dependence
  readonly filtering: Dependence
  /** All mapped ports are the socket's own. */
  readonly preserves: boolean
  readonly mappedPorts: readonly number[]
}

/** Milliseconds that a packet may take: a few times the longest way there is. */
const PATIENCE = 150

export interface Arrival {
  readonly ip: string
  readonly port: number
}

export class Probe {
  readonly #call: (method: string, ...args: unknown[]) => Promise<unknown>

  static async start(internet: Internet, host: string): Promise<Probe> {
    const remote = await startRemote(internet, host, 'probe')
    return new Probe((method, ...args) => remote.call(method, ...args))
  }

  private constructor(call: Probe['call']) {
    this.#call = call
  }

  async open(ip: string, port = 0): Promise<ProbeSocket> {
    const { id, port: bound } = (await this.#call('open', ip, port)) as { id: number; port: number }
    return new ProbeSocket(id, ip, bound, this.#call)
  }

  /** IPv6 addresses of a name, as the host's own resolver tells. */
  async resolve(name: string): Promise<string[]> {
    return (await this.#call('resolve', name)) as string[]
  }

  get call() {
    return this.#call
  }
}

let packets = 0

export class ProbeSocket {
  readonly #id: number
  readonly ip: string
  readonly port: number
  readonly #call: Probe['call']

  constructor(id: number, ip: string, port: number, call: Probe['call']) {
    this.#id = id
    this.ip = ip
    this.port = port
    this.#call = call
  }

  /** Sends to where `to` is known, and returns as whom it arrives at the other socket; undefined when it does not. */
  async reach(to: ProbeSocket, at: Arrival = to, words = 'probe'): Promise<Arrival | undefined> {
    const text = `${words} ${++packets}`
    await this.#call('send', this.#id, text, at.ip, at.port)
    const arrival = (await to.#call('receive', to.#id, text, PATIENCE)) as Arrival | null
    return arrival ? { ip: arrival.ip, port: arrival.port } : undefined
  }
}

/**
 * RFC 5780 §4.5, from two hosts behind one router, each to the outside endpoint of the other, as hole punching does:
 * whether the second packet arrives, and under which of the sender's names.
 */
export async function reachesItself(
  internet: Internet,
  servers: Probe,
  [first, firstName]: readonly [Probe, string],
  [second, secondName]: readonly [Probe, string],
): Promise<'none' | 'internal' | 'external'> {
  const server = await servers.open(SERVER_ADDRESSES[0])
  const [a, b] = [await first.open(addressOf(internet, firstName)), await second.open(addressOf(internet, secondName))]
  const [outsideA, outsideB] = [(await a.reach(server))!, (await b.reach(server))!]
  await a.reach(b, outsideB)
  const arrival = await b.reach(a, outsideA)
  if (!arrival) return 'none'
  return arrival.ip === outsideB.ip && arrival.port === outsideB.port ? 'external' : 'internal'
}

/** The host's first address of a family. */
export function addressOf(internet: Internet, host: string, family: 4 | 6 = 4): string {
  return internet
    .host(host)
    .attachments.map(({ address }) => address)
    .find((address) => address.includes(':') === (family === 6))!
}

/** Mapping and filtering before a host, seen from the two addresses of the servers. */
export async function measure(
  internet: Internet,
  servers: Probe,
  host: Probe,
  name: string,
  family: 4 | 6 = 4,
): Promise<Measured> {
  const [one, two] = SERVER_ADDRESSES.filter((address) => address.includes(':') === (family === 6))
  const [first, otherPort, otherAddress] = await Promise.all([
    servers.open(one!),
    servers.open(one!),
    servers.open(two!),
  ])
  const socket = await host.open(addressOf(internet, name, family))
  const mappedPorts: number[] = []
  for (const server of [first, otherPort, otherAddress]) mappedPorts.push((await socket.reach(server))!.port)
  const [port, withOtherPort, withOtherAddress] = mappedPorts
  // A fresh socket has contacted the first server alone.
  const quiet = await host.open(socket.ip)
  const seen = (await quiet.reach(first))!
  return {
    mapping: dependence(port === withOtherPort, port === withOtherAddress),
    filtering: dependence(!!(await otherPort.reach(quiet, seen)), !!(await otherAddress.reach(quiet, seen))),
    preserves: mappedPorts.every((mapped) => mapped === socket.port),
    mappedPorts,
  }
}

function dependence(sameForOtherPort: boolean, sameForOtherAddress: boolean): Dependence {
  if (!sameForOtherPort) return 'address-and-port-dependent'
  return sameForOtherAddress ? 'endpoint-independent' : 'address-dependent'
}
