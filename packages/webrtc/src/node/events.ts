import type { RTCIceCandidate } from './ice-candidate.ts'

/** W3C RTCPeerConnectionIceEvent. `candidate` is null when gathering is complete. */
export class RTCPeerConnectionIceEvent extends Event {
  readonly candidate: RTCIceCandidate | null

  constructor(type: string, init: { candidate: RTCIceCandidate | null }) {
    super(type)
    this.candidate = init.candidate
  }
}

/** W3C RTCPeerConnectionIceErrorEvent: a STUN server that did not answer, say. The connection may well succeed. */
export class RTCPeerConnectionIceErrorEvent extends Event {
  readonly url: string
  readonly address: string | null
  readonly port: number | null
  readonly errorCode: number
  readonly errorText: string

  constructor(type: string, init: Pick<RTCPeerConnectionIceErrorEvent, (typeof ICE_ERROR_FIELDS)[number]>) {
    super(type)
    this.url = init.url
    this.address = init.address
    this.port = init.port
    this.errorCode = init.errorCode
    this.errorText = init.errorText
  }
}
const ICE_ERROR_FIELDS = ['url', 'address', 'port', 'errorCode', 'errorText'] as const

/** Like W3C's RTCErrorEvent. On a peer connection: why it failed, in words, before `connectionState` says so. */
export class RTCErrorEvent extends Event {
  readonly error: Error

  constructor(type: string, init: { error: Error }) {
    super(type)
    this.error = init.error
  }
}

/**
 * Event handler attributes of HTML §8.1.8.1: `target.onopen = f` listens at the place where it was first set, and
 * `null` stops it.
 */
export function defineEventHandlers(prototype: EventTarget, types: readonly string[]): void {
  for (const type of types) {
    const handlers = new WeakMap<EventTarget, EventHandler | null>()
    Object.defineProperty(prototype, `on${type}`, {
      configurable: true,
      enumerable: true,
      get(this: EventTarget) {
        return handlers.get(this) ?? null
      },
      set(this: EventTarget, handler: unknown) {
        if (!handlers.has(this)) this.addEventListener(type, (event) => handlers.get(this)?.call(this, event))
        handlers.set(this, typeof handler === 'function' ? (handler as EventHandler) : null)
      },
    })
  }
}

type EventHandler = (this: EventTarget, event: Event) => unknown
