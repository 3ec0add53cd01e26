import type { Packet } from '@floe/stun'
import { isStun } from '@floe/stun'
import type { Pair } from './candidate-pair.ts'
import type { Timing } from './defaults.ts'
import { IceError } from './error.ts'
import type { Generations } from './generations.ts'
import { Liveness } from './liveness.ts'
import type { Path } from './path.ts'

export interface DataPathOptions {
  readonly generations: Generations
  readonly path: Path
  readonly timing: Timing
  /** Onto the wire or into a relay; `false`: it is lost. */
  readonly transmit: (packet: Packet) => boolean
  readonly ondata: (bytes: Uint8Array) => void
}

/** The packets of the layer above: out over the selected pair, in over every pair that the peer has proved itself on. */
export class DataPath {
  readonly #options: DataPathOptions

  constructor(options: DataPathOptions) {
    this.#options = options
  }

  /** `false`: there is no path. `awakens` is told when a pair begins to have traffic. Throws ERR_ICE_ARGUMENT for STUN. */
  send(now: number, bytes: Uint8Array, awakens: () => void): boolean {
    const { path, transmit } = this.#options
    refuseStun(bytes)
    const pair = path.selected
    // The timer that ends consent may be late: after a busy turn, or a night asleep.
    if (!pair || !path.hasConsent(pair, now)) return false
    pair.stats.packetsSent++
    pair.stats.bytesSent += bytes.length
    pair.stats.lastPacketSent = now
    if (bytes.length > path.largestSent) path.largestSent = bytes.length
    if (this.#carried(now, pair)) awakens()
    const twin = path.twin(now)
    // Each receiver of bytes owns them.
    if (twin) transmit(packetOn(twin, bytes.slice()))
    return transmit(packetOn(pair, bytes))
  }

  /** `undefined`: not from the peer. Else whether something may follow from it, such as another state. */
  receive(now: number, packet: Packet, isControlled: boolean): 'expected' | 'news' | undefined {
    const { path, ondata, timing, generations } = this.#options
    const pair = this.pairOf(packet)
    if (!pair?.authenticated) return undefined
    const isNews = pair !== path.selected || pair.askedAt !== undefined || path.isSilent(pair, now)
    pair.stats.packetsReceived++
    pair.stats.bytesReceived += packet.bytes.length
    pair.heard(now)
    const begins = this.#carried(now, pair)
    const before = pair.patience
    pair.patience = Liveness.patienceOf(pair, timing)
    ondata(packet.bytes)
    if (pair === path.selected) path.heardHere()
    else path.heardElsewhere(now, pair, isControlled, generations.current.checklist)
    return isNews || begins || pair.patience < before ? 'news' : 'expected'
  }

  /** The pair that a packet came over. */
  pairOf(packet: Packet): Pair | undefined {
    const { generations, path } = this.#options
    const { local, remote } = packet
    const { selected } = path
    const isSelected =
      selected?.base === local && selected.destination.port === remote.port && selected.destination.ip === remote.ip
    return isSelected ? selected : generations.find(packet)
  }

  /** `true` when the pair had no traffic, or none for a while: from now on its silence means something. */
  #carried(now: number, pair: Pair): boolean {
    const { activeFor, quietCeiling } = this.#options.timing
    const pause = now - pair.lastDataAt
    pair.lastDataAt = now
    if (pause >= activeFor) {
      pair.activeSince = now
      pair.patience = quietCeiling
      pair.meanGap = quietCeiling / 8
    }
    // Traffic that was about to count as over puts the question about silence off for ever: it must be asked for anew.
    return pause >= quietCeiling
  }
}

function packetOn({ local, base, destination }: Pair, bytes: Uint8Array): Packet {
  return { protocol: local.protocol, local: base, remote: destination, bytes }
}

function refuseStun(bytes: Uint8Array): void {
  if (bytes.length < 20 || (bytes[0] as number) >= 4 || !isStun(bytes)) return
  throw new IceError(
    'ERR_ICE_ARGUMENT',
    'These bytes are a STUN message: the peer would not pass them up. Frame your data differently',
  )
}
