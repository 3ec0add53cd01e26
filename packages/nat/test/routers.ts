/** Routers as RFC 6887 and RFC 6886 describe them, in as many lines as the tests need. */
import { ipToBytes, type Packet } from '@floe/stun'
import type { Answer, Router } from './virtual-time.ts'

export const EXTERNAL_IP = '203.0.113.7'

interface Entry {
  readonly internalPort: number
  readonly externalPort: number
  readonly nonce: string
  readonly expires: number
}

export class PcpRouter implements Router {
  externalIp = EXTERNAL_IP
  /** Seconds granted at most. */
  maxLifetime = 86_400
  /** Answers with this error, while set. */
  error: { result: number; lifetime: number } | undefined
  silent = false
  requests = 0
  entries: Entry[] = []
  #bootedAt = 0
  #nextPort = 30_000

  handlePacket(now: number, { bytes, remote }: Packet): Answer[] {
    if (remote.port !== 5351 || this.silent) return []
    this.requests++
    if (bytes[0] !== 2) return [{ bytes: pcpResponse(0x80, 1, 0, this.epoch(now)) }]
    return [{ bytes: this.#map(now, bytes) }]
  }

  epoch(now: number): number {
    return Math.floor((now - this.#bootedAt) / 1000)
  }

  /** Forgets everything, and has its clock begin at 0. */
  reboot(now: number): void {
    this.entries = []
    this.#bootedAt = now
  }

  announcement(now: number): Uint8Array {
    return pcpResponse(0x80, 0, 0, this.epoch(now))
  }

  #map(now: number, request: Uint8Array): Uint8Array {
    const view = new DataView(request.buffer, request.byteOffset)
    const nonce = request.slice(24, 36).join()
    const internalPort = view.getUint16(40)
    const suggested = view.getUint16(42)
    if (this.error) return this.#answer(now, request, this.error.result, this.error.lifetime)
    const known = this.entries.find((entry) => entry.internalPort === internalPort && entry.expires > now)
    if (known && known.nonce !== nonce) return this.#answer(now, request, 2, 60)
    const lifetime = Math.min(view.getUint32(4), this.maxLifetime)
    this.entries = this.entries.filter((entry) => entry !== known)
    if (lifetime === 0) return this.#answer(now, request, 0, 0)
    const externalPort = known?.externalPort ?? (suggested || this.#nextPort++)
    this.entries.push({ internalPort, externalPort, nonce, expires: now + lifetime * 1000 })
    return this.#answer(now, request, 0, lifetime, externalPort)
  }

  #answer(now: number, request: Uint8Array, result: number, lifetime: number, externalPort = 0): Uint8Array {
    const bytes = new Uint8Array(60)
    bytes.set(pcpResponse(0x81, result, lifetime, this.epoch(now)))
    bytes.set(request.subarray(24), 24)
    if (result !== 0) return bytes
    new DataView(bytes.buffer).setUint16(42, externalPort)
    bytes.set(wide(this.externalIp), 44)
    return bytes
  }
}

/** Speaks NAT-PMP, and answers everything else as RFC 6886 §3.5 says. */
export class NatPmpRouter implements Router {
  externalIp = EXTERNAL_IP
  error = 0
  silent = false
  requests = 0
  mappings = new Map<number, { externalPort: number; expires: number }>()
  #bootedAt = 0
  #nextPort = 40_000

  handlePacket(now: number, { bytes, remote }: Packet): Answer[] {
    if (remote.port !== 5351 || this.silent) return []
    this.requests++
    if (bytes[0] !== 0) return [{ bytes: Uint8Array.of(0, 0x80 | bytes[1]!, 0, 1, ...uint32(this.epoch(now))) }]
    return [{ bytes: bytes[1] === 0 ? this.announcement(now) : this.#map(now, bytes) }]
  }

  epoch(now: number): number {
    return Math.floor((now - this.#bootedAt) / 1000)
  }

  reboot(now: number): void {
    this.mappings.clear()
    this.#bootedAt = now
  }

  announcement(now: number): Uint8Array {
    return Uint8Array.of(0, 0x80, 0, this.error, ...uint32(this.epoch(now)), ...ipToBytes(this.externalIp)!)
  }

  #map(now: number, request: Uint8Array): Uint8Array {
    const view = new DataView(request.buffer, request.byteOffset)
    const internalPort = view.getUint16(4)
    const lifetime = view.getUint32(8)
    const known = this.mappings.get(internalPort)
    const externalPort = known?.externalPort ?? (view.getUint16(6) || this.#nextPort++)
    if (lifetime === 0) this.mappings.delete(internalPort)
    else if (this.error === 0) this.mappings.set(internalPort, { externalPort, expires: now + lifetime * 1000 })
    const bytes = new Uint8Array(16)
    const answer = new DataView(bytes.buffer)
    bytes[1] = 0x81
    answer.setUint16(2, this.error)
    answer.setUint32(4, this.epoch(now))
    answer.setUint16(8, internalPort)
    answer.setUint16(10, lifetime === 0 ? 0 : externalPort)
    answer.setUint32(12, lifetime)
    return bytes
  }
}

/** The 24 bytes of RFC 6887 §7.2. */
export function pcpResponse(opcode: number, result: number, lifetime: number, epoch: number): Uint8Array {
  return Uint8Array.of(2, opcode, 0, result, ...uint32(lifetime), ...uint32(epoch), ...new Array(12).fill(0))
}

function uint32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
}

function wide(ip: string): Uint8Array {
  const bytes = ipToBytes(ip)!
  return bytes.length === 16 ? bytes : Uint8Array.of(...new Array(10).fill(0), 0xff, 0xff, ...bytes)
}
