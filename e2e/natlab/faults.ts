/** Plays the faults of a scenario on a kernel internet with two peers. */
import type { Fault, Side } from '../topology/fault.ts'
import type { Placement } from '../topology/placement.ts'
import type { Internet } from './internet.ts'
import type { Peer } from './peer.ts'
import type { Attachment } from './plan.ts'
import type { Servers } from './servers.ts'
import type { SignalingPath } from './signaling.ts'
import { pause } from './time.ts'

export interface Stage {
  readonly internet: Internet
  readonly peers: Readonly<Record<Side, Peer>>
  readonly servers: Servers
  readonly signaling: SignalingPath
}

/** A host's placements from the beginning, and those that come later: their cables are there, but not up. */
export function withLaterPlacements(
  side: Side,
  placements: readonly Placement[],
  faults: readonly Fault[],
): readonly Placement[] {
  const later = faults.flatMap((fault) =>
    fault.kind === 'interface-new' && fault.of === side ? [fault.placement] : [],
  )
  return [...placements, ...later]
}

export class Faults {
  readonly #stage: Stage
  /** How many addresses each host has had. */
  readonly #interfaces: Record<Side, number>
  #addresses = 0

  /** Addresses beyond the first `interfaces` of each host wait for their time. */
  static async downLater(internet: Internet, interfaces: Readonly<Record<Side, number>>): Promise<void> {
    for (const side of ['a', 'b'] as const) {
      for (const { device } of internet.host(side).attachments.slice(interfaces[side])) {
        await internet.run(side, `ip link set dev ${device} down`)
      }
    }
  }

  constructor(stage: Stage, interfaces: Readonly<Record<Side, number>>) {
    this.#stage = stage
    this.#interfaces = { ...interfaces }
  }

  /** Each one at its time from now on. Resolves when all have happened and are over. */
  async play(faults: readonly Fault[]): Promise<void> {
    await Promise.all(
      faults.map(async (fault) => {
        await pause(fault.at)
        const end = await this.#happen(fault)
        if (!('for' in fault) || fault.for === undefined) return
        await pause(fault.for)
        await end?.()
      }),
    )
  }

  /** Resolves with what ends it. */
  async #happen(fault: Fault): Promise<(() => unknown) | undefined> {
    const { internet, peers, servers, signaling } = this.#stage
    switch (fault.kind) {
      case 'nat-reboot':
        return void (await this.#reboot(this.#routerOf(fault)))
      case 'wan-address':
        return void (await this.#renumber(this.#routerOf(fault)))
      case 'link': {
        const { leg } = this.#attachment(fault.of, fault.interface ?? 0)
        const { direction, quality } = fault
        return internet.line.change(leg, direction ? { direction, quality } : { quality })
      }
      case 'interface-gone': {
        const { device } = this.#attachment(fault.of, fault.interface)
        return void (await internet.run(fault.of, `ip link set dev ${device} down`))
      }
      case 'interface-new':
        return void (await this.#add(fault.of))
      case 'suspend':
        peers[fault.of].suspend()
        return () => peers[fault.of].resume()
      case 'signaling-down':
        signaling.down()
        return () => signaling.up()
      case 'relay-down':
        // One process is all servers there are.
        if (fault.for !== undefined) throw new RangeError('coturn is not begun anew here: let it stand still instead')
        return void servers.suspend()
      case 'server-down':
        servers.suspend()
        return () => servers.resume()
      case 'restart':
        return void (await peers[fault.of].endpoint.offer())
    }
  }

  #attachment(side: Side, index: number): Attachment {
    const attachment = this.#stage.internet.host(side).attachments[index]
    if (!attachment) throw new RangeError(`host ${side} has no address number ${index}`)
    return attachment
  }

  #routerOf({ of, layer = 'home' }: { readonly of: Side; readonly layer?: 'home' | 'carrier' }): string {
    const router = this.#attachment(of, 0).routers[layer === 'home' ? 0 : 1]
    if (!router) throw new RangeError(`host ${of} has no ${layer} router`)
    return router
  }

  /**
   * Rules anew, and with them the maps and sets that are the router's memory; connection tracking forgets too. Nothing
   * passes meanwhile: a packet between the two would carry the old mapping over.
   */
  async #reboot(router: string, rules = this.#stage.internet.plan.namespaces.get(router)!.nft): Promise<void> {
    const nft = (lines: readonly string[]) => `nft -f - <<'end'\n${['flush ruleset', ...lines].join('\n')}\nend`
    await this.#stage.internet.run(router, `${nft([OFF])}\nconntrack -F 2>/dev/null\n${nft(rules)}`)
  }

  async #renumber(router: string): Promise<void> {
    const { internet } = this.#stage
    const [before] = internet.plan.routers.get(router)!.outside
    const leg = internet.plan.legs.find(({ name }) => name === router)
    if (!before || !leg) throw new RangeError(`${router} has no address on the internet`)
    const after = before.replace(/\d+$/, String(100 + ++this.#addresses))
    await internet.run('core', `ip route add ${after} dev ${leg.device}`)
    await internet.line.attach({ ...leg, networks: [after] })
    await internet.run(router, `ip addr add ${after}/32 dev wan && ip addr del ${before}/32 dev wan`)
    const { nft } = internet.plan.namespaces.get(router)!
    await this.#reboot(
      router,
      nft.map((rules) => rules.replaceAll(before, after)),
    )
  }

  /** The next of the addresses that had not come yet. The kernel forgets routes of what is down: they are set again. */
  async #add(side: Side): Promise<void> {
    const { internet } = this.#stage
    const { device } = this.#attachment(side, this.#interfaces[side]++)
    const lines = internet.plan.namespaces.get(side)!.ip.filter((line) => line.includes(` dev ${device}`))
    await internet.run(side, `ip -force -batch - >/dev/null 2>&1 <<'end' || true\n${lines.join('\n')}\nend`)
  }
}

/** Before connection tracking sees anything. */
const OFF = `table inet off {
  chain everything {
    type filter hook prerouting priority -500; policy drop
  }
}`
