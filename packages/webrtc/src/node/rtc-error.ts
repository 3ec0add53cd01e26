import { defineInterface } from './webidl.ts'

/** W3C RTCErrorDetailType, as far as data channels go. */
export type RTCErrorDetail =
  | 'data-channel-failure'
  | 'dtls-failure'
  | 'fingerprint-failure'
  | 'sctp-failure'
  | 'sdp-syntax-error'
  | 'hardware-encoder-not-available'
  | 'hardware-encoder-error'

/** W3C RTCErrorInit, with the `cause` that every JavaScript error may have. */
export interface RTCErrorInit {
  readonly errorDetail: RTCErrorDetail
  readonly sdpLineNumber?: number
  readonly sctpCauseCode?: number
  readonly receivedAlert?: number
  readonly sentAlert?: number
  readonly cause?: unknown
}

/** W3C RTCError: a DOMException named OperationError that says which layer failed. webrtc-pc §11.2. */
export class RTCError extends DOMException {
  readonly errorDetail: RTCErrorDetail
  readonly sdpLineNumber: number | null
  /** RFC 9260 §3.3.10. */
  readonly sctpCauseCode: number | null
  /** RFC 5246 §7.2. */
  readonly receivedAlert: number | null
  readonly sentAlert: number | null

  /** Throws TypeError without an `errorDetail` of the list. */
  constructor(init: RTCErrorInit, message = '') {
    super(message, 'OperationError')
    if (!DETAILS.has(init?.errorDetail)) throw new TypeError(`"${init?.errorDetail}" is no RTCErrorDetailType`)
    this.errorDetail = init.errorDetail
    this.sdpLineNumber = init.sdpLineNumber ?? null
    this.sctpCauseCode = init.sctpCauseCode ?? null
    this.receivedAlert = init.receivedAlert ?? null
    this.sentAlert = init.sentAlert ?? null
    if (init.cause !== undefined) Object.defineProperty(this, 'cause', { value: init.cause, configurable: true })
  }
}

defineInterface(RTCError)

const DETAILS = new Set<unknown>([
  'data-channel-failure',
  'dtls-failure',
  'fingerprint-failure',
  'sctp-failure',
  'sdp-syntax-error',
  'hardware-encoder-not-available',
  'hardware-encoder-error',
] satisfies RTCErrorDetail[])
