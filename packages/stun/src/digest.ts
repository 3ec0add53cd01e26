/**
 * SHA-1, SHA-256, MD5 and HMAC in plain TypeScript: synchronous, the same in every runtime, and for messages of
 * a hundred bytes two to three times as fast as the calls into node:crypto.
 */
import { compressMd5 } from './md5.ts'
import { compressSha1 } from './sha1.ts'
import { compressSha256 } from './sha256.ts'

export function sha1(bytes: Uint8Array): Uint8Array {
  return digest(SHA1, bytes)
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return digest(SHA256, bytes)
}

export function md5(bytes: Uint8Array): Uint8Array {
  return digest(MD5, bytes)
}

/**
 * HMAC (RFC 2104) with one key. The compressions of both padded keys happen once, here, and not per message:
 * that halves the work for messages as short as ours.
 */
export class Hmac {
  readonly #algorithm: Algorithm
  // Plain arrays: a typed one of five words takes three times the memory, and agents have two keys each.
  readonly #inner: readonly number[]
  readonly #outer: readonly number[]

  constructor(algorithm: 'sha1' | 'sha256', key: Uint8Array) {
    this.#algorithm = algorithm === 'sha1' ? SHA1 : SHA256
    const block = new Uint8Array(BLOCK)
    block.set(key.length > BLOCK ? digest(this.#algorithm, key) : key)
    this.#inner = keyState(this.#algorithm, block, 0x36)
    this.#outer = keyState(this.#algorithm, block, 0x5c)
  }

  /**
   * The code of the first `end` bytes of `message`, with `firstWord` in place of its first four: STUN signs
   * a length that is not the one in the message, and the message may be borrowed. Returns big-endian words
   * that are valid until the next call of anything in this file.
   */
  sign(message: Uint8Array, end: number, firstWord: number): Int32Array {
    const inner = this.#inner
    const outer = this.#outer
    const size = inner.length
    for (let i = 0; i < size; i++) state[i] = inner[i]!
    absorb(this.#algorithm, message, end, BLOCK, firstWord)
    for (let i = 0; i < size; i++) {
      words[i] = state[i]!
      state[i] = outer[i]!
    }
    words[size] = 0x80000000
    for (let i = size + 1; i < 15; i++) words[i] = 0
    words[15] = (BLOCK + 4 * size) * 8
    this.#algorithm.compress(state, words)
    return state
  }
}

interface Algorithm {
  readonly initial: Int32Array
  readonly littleEndian: boolean
  readonly compress: (state: Int32Array, words: Int32Array) => void
}

const BLOCK = 64
// Everything here is synchronous and nothing re-enters, so one set of work space serves all.
const state = new Int32Array(8)
const words = new Int32Array(16)

const SHA1: Algorithm = {
  initial: Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0),
  littleEndian: false,
  compress: compressSha1,
}
const SHA256: Algorithm = {
  initial: Int32Array.of(
    0x6a09e667,
    0xbb67ae85,
    0x3c6ef372,
    0xa54ff53a,
    0x510e527f,
    0x9b05688c,
    0x1f83d9ab,
    0x5be0cd19,
  ),
  littleEndian: false,
  compress: compressSha256,
}
const MD5: Algorithm = {
  initial: Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476),
  littleEndian: true,
  compress: compressMd5,
}

function digest(algorithm: Algorithm, bytes: Uint8Array): Uint8Array {
  state.set(algorithm.initial)
  absorb(algorithm, bytes, bytes.length, 0, undefined)
  const result = new Uint8Array(4 * algorithm.initial.length)
  const view = new DataView(result.buffer)
  for (let i = 0; i < algorithm.initial.length; i++) view.setInt32(4 * i, state[i]!, algorithm.littleEndian)
  return result
}

function keyState(algorithm: Algorithm, key: Uint8Array, pad: number): number[] {
  state.set(algorithm.initial)
  const block = key.map((byte) => byte ^ pad)
  loadBlock(block, 0, false)
  algorithm.compress(state, words)
  return [...state].slice(0, algorithm.initial.length)
}

/** Runs the first `end` bytes and the padding through `state`, which has taken `before` bytes already. */
function absorb(
  { compress, littleEndian }: Algorithm,
  bytes: Uint8Array,
  end: number,
  before: number,
  firstWord: number | undefined,
): void {
  let at = 0
  for (; at + BLOCK <= end; at += BLOCK) {
    loadBlock(bytes, at, littleEndian)
    if (at === 0 && firstWord !== undefined) words[0] = firstWord
    compress(state, words)
  }
  loadTail(bytes, at, end, littleEndian)
  if (at === 0 && firstWord !== undefined) words[0] = firstWord
  if (end - at >= BLOCK - 8) {
    compress(state, words)
    words.fill(0)
  }
  const bits = (before + end) * 8
  const high = Math.floor(bits / 0x100000000)
  words[14] = littleEndian ? bits : high
  words[15] = littleEndian ? high : bits
  compress(state, words)
}

function loadBlock(bytes: Uint8Array, offset: number, littleEndian: boolean): void {
  for (let i = 0; i < 16; i++) words[i] = loadWord(bytes, offset + 4 * i, littleEndian)
}

/** The last, incomplete block and the 0x80 behind it. */
function loadTail(bytes: Uint8Array, offset: number, end: number, littleEndian: boolean): void {
  let at = offset
  let i = 0
  for (; at + 4 <= end; at += 4) words[i++] = loadWord(bytes, at, littleEndian)
  let last = 0
  for (let shift = 24; shift >= 0; shift -= 8, at++) {
    const byte = at < end ? bytes[at]! : at === end ? 0x80 : 0
    last |= byte << (littleEndian ? 24 - shift : shift)
  }
  words[i++] = last
  while (i < 16) words[i++] = 0
}

function loadWord(bytes: Uint8Array, at: number, littleEndian: boolean): number {
  return littleEndian
    ? bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    : (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}
