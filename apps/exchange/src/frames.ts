/**
 * The wire format. Text frames are JSON objects that control; binary frames are pieces of files:
 *
 *     0                   4
 *     +-------------------+------------------------ - -
 *     | transfer id (u32) | 1 … CHUNK_SIZE bytes
 *     +-------------------+------------------------ - -
 *
 * Each side numbers its own files upwards from 1. The sender says `offer`, `end` and `cancel`;
 * the receiver says `accept`, `credit`, `received` and `reject`, so an id never needs a direction.
 */
import * as v from 'valibot'

/** Largest binary frame, bytes: what every data channel implementation carries in one message (RFC 8831 §6.6). */
export const FRAME_SIZE = 16 * 1024
const HEADER_SIZE = 4
/** File bytes in one full binary frame. */
export const CHUNK_SIZE = FRAME_SIZE - HEADER_SIZE
/** Chunks a sender may have under way per file: bounds the receiver's memory to 1 MiB, feeds 10 MB/s at 100 ms. */
export const WINDOW = 64
/** Files one peer may have on offer or under way at once. */
export const MAX_TRANSFERS = 16
/** UTF-16 units in one chat message: at six bytes each when escaped, the frame stays below 64 KiB. */
export const MAX_TEXT = 8192
/** UTF-16 units in a file's name, and in its media type. */
export const MAX_NAME = 255
/** UTF-16 units of a reason for ending a transfer; longer ones are cut. */
export const MAX_REASON = 256
/** UTF-16 units of a control frame: a full chat message in which every unit is escaped, and its envelope. */
const MAX_CONTROL = 6 * MAX_TEXT + 64

const id = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(0xffff_ffff))
const credit = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(0xffff))
const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const name = v.pipe(v.string(), v.maxLength(MAX_NAME))
const reason = v.pipe(v.string(), v.maxLength(MAX_REASON))
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))

const controlFrame = v.variant('type', [
  v.object({ type: v.literal('chat'), text: v.pipe(v.string(), v.maxLength(MAX_TEXT)) }),
  v.object({ type: v.literal('offer'), id, name, size, mediaType: name }),
  v.object({ type: v.literal('accept'), id, credit }),
  v.object({ type: v.literal('credit'), id, credit }),
  v.object({ type: v.literal('end'), id, sha256 }),
  v.object({ type: v.literal('received'), id }),
  v.object({ type: v.literal('cancel'), id, reason }),
  v.object({ type: v.literal('reject'), id, reason }),
])

export type ControlFrame = v.InferOutput<typeof controlFrame>
export type Offer = Extract<ControlFrame, { type: 'offer' }>

export function encodeControl(frame: ControlFrame): string {
  return JSON.stringify('reason' in frame ? { ...frame, reason: frame.reason.slice(0, MAX_REASON) } : frame)
}

/** `undefined` for anything that is not exactly one of our frames within its bounds. Never throws. */
export function decodeControl(text: string): ControlFrame | undefined {
  if (text.length > MAX_CONTROL) return undefined
  const parsed = v.safeParse(controlFrame, parseJson(text))
  return parsed.success ? parsed.output : undefined
}

/** A fresh frame for file `id` with room for `length` bytes, and the view into which to write them. */
export function newChunk(id: number, length: number): { frame: Uint8Array; payload: Uint8Array } {
  const frame = new Uint8Array(HEADER_SIZE + length)
  new DataView(frame.buffer).setUint32(0, id)
  return { frame, payload: frame.subarray(HEADER_SIZE) }
}

/** The payload borrows from `frame`. `undefined` when empty, too long or without an id. Never throws. */
export function decodeChunk(frame: Uint8Array): { id: number; payload: Uint8Array } | undefined {
  if (frame.length <= HEADER_SIZE || frame.length > FRAME_SIZE) return undefined
  const id = new DataView(frame.buffer, frame.byteOffset).getUint32(0)
  return id === 0 ? undefined : { id, payload: frame.subarray(HEADER_SIZE) }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
