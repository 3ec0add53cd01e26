import { type Address, formatAddress } from '@floe/stun'

/** An address that knows its own text: boxes, sockets and watchers ask for it at every hop. */
export class Endpoint implements Address {
  readonly ip: string
  readonly port: number
  #text: string | undefined

  constructor(ip: string, port: number) {
    this.ip = ip
    this.port = port
  }

  get text(): string {
    return (this.#text ??= formatAddress(this))
  }
}

/** The one endpoint per address, so that its text is made once. */
export class Endpoints {
  readonly #byIp = new Map<string, Map<number, Endpoint>>()

  of(address: Address): Endpoint {
    if (address instanceof Endpoint) return address
    const { ip, port } = address
    let byPort = this.#byIp.get(ip)
    if (byPort === undefined) this.#byIp.set(ip, (byPort = new Map()))
    let endpoint = byPort.get(port)
    if (endpoint === undefined) byPort.set(port, (endpoint = new Endpoint(ip, port)))
    return endpoint
  }
}

/** As `formatAddress`. */
export function textOf(address: Address): string {
  return address instanceof Endpoint ? address.text : formatAddress(address)
}
