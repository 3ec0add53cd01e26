import type { Relay, Signaling } from '../src/signaling.ts'
import { MemorySignaling } from './channel.ts'

/** What somebody in the middle does with a frame. */
export type Tamper = (frame: Uint8Array<ArrayBuffer>, deliver: (frame: Uint8Array<ArrayBuffer>) => void) => void

/** A relay in memory: asynchronous, in order, with room for so many frames, and in the hands of `tamper`. */
export class MemoryRelay implements Relay {
  onframe: Relay['onframe'] = null
  onstatechange: Relay['onstatechange'] = null
  readonly sent: Uint8Array[] = []
  tamper: Tamper = (frame, deliver) => deliver(frame)
  #isDown = false
  #waiting = 0
  #peer!: MemoryRelay

  static pair(): [MemoryRelay, MemoryRelay] {
    const ends: [MemoryRelay, MemoryRelay] = [new MemoryRelay(), new MemoryRelay()]
    ends[0].#peer = ends[1]
    ends[1].#peer = ends[0]
    return ends
  }

  get state(): Relay['state'] {
    return this.#isDown ? 'down' : this.#waiting < 8 ? 'open' : 'busy'
  }

  set isDown(isDown: boolean) {
    this.#isDown = isDown
    this.onstatechange?.()
  }

  send(frame: Uint8Array<ArrayBuffer>): void {
    this.sent.push(frame)
    this.#waiting++
    setImmediate(() => {
      this.#waiting--
      if (!this.#isDown) this.tamper(frame.slice(), (bytes) => this.#peer.onframe?.(bytes))
      this.onstatechange?.()
    })
  }
}

/** Signaling with a relay beside it, the impolite end first. */
export function relayedPair(): [MemorySignaling & { relay: MemoryRelay }, MemorySignaling & { relay: MemoryRelay }] {
  const relays = MemoryRelay.pair()
  const [impolite, polite] = MemorySignaling.pair()
  return [Object.assign(impolite, { relay: relays[0] }), Object.assign(polite, { relay: relays[1] })]
}

/** What a signaling server that reads and writes may do to messages on their way. */
export function change(signaling: MemorySignaling, edit: (message: never) => object): Signaling {
  const { relay } = signaling as Signaling
  return {
    polite: signaling.polite,
    ...(relay && { relay }),
    send: (message) => signaling.send(edit(message as never) as never),
    get onmessage() {
      return signaling.onmessage
    },
    set onmessage(listener) {
      signaling.onmessage = listener
    },
  }
}
