import type { Address } from '@floe/stun'
import { RedirectGuard } from '@floe/turn'
import type { TurnServer } from './servers.ts'

/** Where a relay's server is: as configured, until that names another one (ALTERNATE-SERVER, RFC 8489 §10). */
export class RelayTarget {
  readonly #configured: TurnServer
  #server: TurnServer
  /** Made with the first redirect: most servers send none. */
  #guard: RedirectGuard | undefined

  constructor(server: TurnServer) {
    this.#configured = this.#server = server
  }

  get address(): Address {
    return this.#server.address
  }

  /** As configured, but for its address and the name that its certificate must bear. */
  get server(): TurnServer {
    return this.#server
  }

  /** `domain`: of ALTERNATE-DOMAIN, the server's name from now on. Why not to go there; `undefined`: it is the target now. */
  follow(address: Address, domain: string | undefined): string | undefined {
    const { protocol } = this.#configured
    this.#guard ??= new RedirectGuard(this.#configured.address, protocol)
    const refusal = this.#guard.refuse(address, protocol)
    if (refusal === undefined) {
      this.#server = { ...this.#server, address, ...(domain !== undefined && { hostname: domain }) }
    }
    return refusal
  }

  /** Back to where one starts. */
  reset(): void {
    this.#server = this.#configured
    this.#guard = undefined
  }
}
