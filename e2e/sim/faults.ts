import type { LinkQuality } from '../topology/behavior.ts'
import type { Fault, Side } from '../topology/fault.ts'
import type { Link } from './link.ts'
import type { Attachment, Host } from './network.ts'
import type { Router } from './router.ts'
import type { World } from './world.ts'

/** Who is told of a fault beside the network: agents, or those that stand for them. */
export interface Inhabitant {
  readonly host: Host
  addAddress(ip: string): unknown
  removeAddress(ip: string): void
}

/** Plays the faults of a scenario on a world with two inhabitants. */
export class Faults {
  readonly #world: World
  readonly #sides: Readonly<Record<Side, Inhabitant>>
  /** By number: faults go on naming an interface by the number it had when others are gone. */
  readonly #interfaces: Readonly<Record<Side, (Attachment | undefined)[]>>
  readonly #changes = new Map<Link, { readonly before: LinkQuality; readonly overlays: LinkQuality[] }>()
  #addresses = 0

  constructor(world: World, a: Inhabitant, b: Inhabitant) {
    this.#world = world
    this.#sides = { a, b }
    this.#interfaces = { a: [...a.host.attachments], b: [...b.host.attachments] }
  }

  /** Each one at its time. */
  schedule(faults: readonly Fault[], session: { restart(side: Side): void; signaling(up: boolean): void }) {
    const { clock } = this.#world.network
    for (const fault of faults) {
      clock.at(fault.at, () => {
        this.#world.network.trace.note(clock.now, 'fault', () => JSON.stringify(fault))
        if (fault.kind === 'restart') session.restart(fault.of)
        else if (fault.kind === 'signaling-down') {
          session.signaling(false)
          if (fault.for !== undefined) clock.after(fault.for, () => session.signaling(true))
        } else this.play(fault)
      })
    }
  }

  /** Happens now, and ends by itself where it has an end. */
  play(fault: Exclude<Fault, { kind: 'restart' | 'signaling-down' }>) {
    const { clock } = this.#world.network
    switch (fault.kind) {
      case 'nat-reboot':
        return this.#router(fault)?.reboot()
      case 'wan-address':
        return this.#renumber(this.#router(fault))
      case 'link':
        return this.#change(fault)
      case 'interface-gone':
        return this.#remove(fault)
      case 'interface-new':
        return this.#add(fault)
      case 'suspend': {
        const { host } = this.#sides[fault.of]
        host.suspend()
        clock.after(fault.for, () => host.resume())
        return
      }
      case 'relay-down': {
        const relay = this.#world.relays[fault.relay]
        relay?.die()
        if (fault.for !== undefined) clock.after(fault.for, () => relay?.restart())
        return
      }
      case 'server-down': {
        const server = this.#world.servers[fault.server]
        if (!server) return
        server.dead = true
        if (fault.for !== undefined) clock.after(fault.for, () => (server.dead = false))
      }
    }
  }

  #router({ of, layer = 'home' }: { of: Side; layer?: 'home' | 'carrier' }): Router | undefined {
    const routers = [...this.#world.routers.values()]
    const realm = this.#interfaces[of].find((one) => one !== undefined)?.realm
    const home = routers.find(({ inside }) => inside === realm)
    return layer === 'home' ? home : routers.find(({ inside }) => inside === home?.outside)
  }

  #renumber(router: Router | undefined) {
    if (!router?.nat && !router?.nat64) return
    const host = 100 + ++this.#addresses
    router.renumber(router.wan.ip.replace(/\d+$/, String(host)))
  }

  #change({ of, interface: index = 0, direction, quality, for: duration }: Extract<Fault, { kind: 'link' }>) {
    const attachment = this.#interfaces[of][index]
    if (!attachment) return
    const links = direction ? [attachment[direction]] : [attachment.up, attachment.down]
    for (const link of links) this.#overlay(link, quality, duration)
  }

  /** Changes that overlap in time lie upon each other, so that each can end by itself. */
  #overlay(link: Link, quality: LinkQuality, duration: number | undefined) {
    const change = this.#changes.get(link) ?? { before: link.quality, overlays: [] }
    this.#changes.set(link, change)
    const overlay = { ...quality }
    change.overlays.push(overlay)
    const apply = () => (link.quality = Object.assign({}, change.before, ...change.overlays))
    apply()
    if (duration === undefined) return
    this.#world.network.clock.after(duration, () => {
      change.overlays.splice(change.overlays.indexOf(overlay), 1)
      apply()
    })
  }

  #remove({ of, interface: index }: Extract<Fault, { kind: 'interface-gone' }>) {
    const attachment = this.#interfaces[of][index]
    if (!attachment) return
    this.#interfaces[of][index] = undefined
    const { host } = this.#sides[of]
    host.detach(attachment.ip)
    host.at(this.#world.now, () => this.#sides[of].removeAddress(attachment.ip))
  }

  #add({ of, placement }: Extract<Fault, { kind: 'interface-new' }>) {
    const { host } = this.#sides[of]
    const attachment = this.#world.attach(host, placement)
    this.#interfaces[of].push(attachment)
    host.at(this.#world.now, () => {
      if (host.attachments.includes(attachment)) this.#sides[of].addAddress(attachment.ip)
    })
  }
}
