import { FRAME_SIZE, MAX_REASON_SIZE, SENT_FRAME_SIZE } from './defaults.ts'

/**
 * What two sessions send each other, on every carrier alike. Numbers are big-endian, 48 bits.
 *
 *     data    1 | flags | number        | payload
 *     ack     2 | flags | next expected | bytes that may be sent in all
 *     ping    3 | 0     | id            |             answered by a pong and an ack on the same carrier
 *     pong    4 | 0     | id            |
 *     close   5 | 0     | frames sent   | reason, UTF-8
 */
export type Frame =
  | {
      readonly type: 'data'
      readonly number: number
      readonly text: boolean
      readonly last: boolean
      payload: Uint8Array
    }
  /** `gap`: something beyond `next` has come, so `next` itself is lost, or still on another carrier. */
  | { readonly type: 'ack'; readonly next: number; readonly limit: number; readonly gap: boolean }
  | { readonly type: 'ping'; readonly id: number }
  | { readonly type: 'pong'; readonly id: number }
  | { readonly type: 'close'; readonly number: number; readonly reason: string }

const TYPES = { data: 1, ack: 2, ping: 3, pong: 4, close: 5 } as const
const TEXT = 1
const LAST = 2
const GAP = 1

export const HEADER_SIZE = 8
/** Payload of one data frame of ours. */
export const MAX_PAYLOAD = SENT_FRAME_SIZE - HEADER_SIZE

export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  switch (frame.type) {
    case 'data': {
      const bytes = header(
        'data',
        (frame.text ? TEXT : 0) | (frame.last ? LAST : 0),
        frame.number,
        frame.payload.length,
      )
      bytes.set(frame.payload, HEADER_SIZE)
      return bytes
    }
    case 'ack': {
      const bytes = header('ack', frame.gap ? GAP : 0, frame.next, 6)
      writeNumber(bytes, HEADER_SIZE, frame.limit)
      return bytes
    }
    case 'ping':
    case 'pong':
      return header(frame.type, 0, frame.id, 0)
    case 'close': {
      const reason = cut(new TextEncoder().encode(frame.reason))
      const bytes = header('close', 0, frame.number, reason.length)
      bytes.set(reason, HEADER_SIZE)
      return bytes
    }
  }
}

/** `undefined`: it is none. A payload is a view of `bytes`. */
export function decodeFrame(bytes: Uint8Array): Frame | undefined {
  if (bytes.length < HEADER_SIZE || bytes.length > FRAME_SIZE) return undefined
  const flags = bytes[1]!
  const number = readNumber(bytes, 2)
  switch (bytes[0]) {
    case TYPES.data:
      return {
        type: 'data',
        number,
        text: (flags & TEXT) !== 0,
        last: (flags & LAST) !== 0,
        payload: bytes.subarray(HEADER_SIZE),
      }
    case TYPES.ack:
      if (bytes.length < HEADER_SIZE + 6) return undefined
      return { type: 'ack', next: number, limit: readNumber(bytes, HEADER_SIZE), gap: (flags & GAP) !== 0 }
    case TYPES.ping:
      return { type: 'ping', id: number }
    case TYPES.pong:
      return { type: 'pong', id: number }
    case TYPES.close:
      return { type: 'close', number, reason: new TextDecoder().decode(cut(bytes.subarray(HEADER_SIZE))) }
    default:
      return undefined
  }
}

function header(type: keyof typeof TYPES, flags: number, number: number, more: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_SIZE + more)
  bytes[0] = TYPES[type]
  bytes[1] = flags
  writeNumber(bytes, 2, number)
  return bytes
}

function writeNumber(bytes: Uint8Array, at: number, number: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  view.setUint16(at, Math.floor(number / 0x1_0000_0000))
  view.setUint32(at + 2, number % 0x1_0000_0000)
}

function readNumber(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return view.getUint16(at) * 0x1_0000_0000 + view.getUint32(at + 2)
}

/** To the longest reason, but not in the middle of a character. */
function cut(reason: Uint8Array): Uint8Array {
  if (reason.length <= MAX_REASON_SIZE) return reason
  let end = MAX_REASON_SIZE
  while (end > 0 && (reason[end]! & 0xc0) === 0x80) end--
  return reason.subarray(0, end)
}
