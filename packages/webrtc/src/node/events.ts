import { RTCIceCandidate } from './ice-candidate.ts'
import { RTCError } from './rtc-error.ts'
import { defineInterface, dictionary } from './webidl.ts'

/** W3C RTCPeerConnectionIceEvent. `candidate` is null when gathering is complete. */
export class RTCPeerConnectionIceEvent extends Event {
  readonly candidate: RTCIceCandidate | null
  /** The server that the candidate was learnt from. */
  readonly url: string | null

  constructor(type: string, init?: { candidate?: RTCIceCandidate | null; url?: string | null }) {
    super(type)
    const { candidate = null, url = null } = dictionary(init, 'RTCPeerConnectionIceEventInit')
    if (candidate !== null && !(candidate instanceof RTCIceCandidate)) {
      throw new TypeError('The candidate of an RTCPeerConnectionIceEvent is an RTCIceCandidate or null')
    }
    this.candidate = candidate
    this.url = url
  }
}

defineInterface(RTCPeerConnectionIceEvent)

/**
 * Not W3C's, hence the name: candidates that `icecandidate` told of are gone, as with their interface. The peer's
 * `removeIceCandidates()` takes them. libwebrtc has it in C++ (OnIceCandidatesRemoved), and keeps it from web pages.
 */
export class IceCandidatesRemovedEvent extends Event {
  readonly candidates: readonly RTCIceCandidate[]

  constructor(type: string, init: { candidates: readonly RTCIceCandidate[] }) {
    super(type)
    this.candidates = dictionary(init, 'IceCandidatesRemovedEventInit').candidates
  }
}

defineInterface(IceCandidatesRemovedEvent)

/** What an RTCPeerConnectionIceErrorEvent is made of. */
export interface IceErrorInit {
  readonly address?: string | null
  readonly port?: number | null
  readonly url?: string
  readonly errorCode: number
  readonly errorText?: string
}

/** W3C RTCPeerConnectionIceErrorEvent: a STUN server that did not answer, say. The connection may well succeed. */
export class RTCPeerConnectionIceErrorEvent extends Event {
  readonly address: string | null
  readonly port: number | null
  readonly url: string
  readonly errorCode: number
  readonly errorText: string

  constructor(type: string, init: IceErrorInit) {
    super(type)
    const { address = null, port = null, url = '', errorCode, errorText = '' } = dictionary(init, 'IceErrorInit')
    if (errorCode === undefined) throw new TypeError('An RTCPeerConnectionIceErrorEvent has an errorCode')
    this.address = address
    this.port = port
    this.url = url
    this.errorCode = Number(errorCode)
    this.errorText = errorText
  }
}

defineInterface(RTCPeerConnectionIceErrorEvent)

/** W3C RTCErrorEvent, webrtc-pc §11.3. On a peer connection: why it failed, before `connectionState` says so. */
export class RTCErrorEvent extends Event {
  readonly error: RTCError

  constructor(type: string, init: { error: RTCError }) {
    super(type)
    if (!(init?.error instanceof RTCError)) throw new TypeError('An RTCErrorEvent has an RTCError')
    this.error = init.error
  }
}

defineInterface(RTCErrorEvent)

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
