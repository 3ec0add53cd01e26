/** An allocation with a server that says exactly what a test tells it to say. */
import {
  type Attributes,
  type DecodedMessage,
  decode,
  encode,
  type IntegrityKey,
  longTermKey,
  type Method,
  type Packet,
} from '@floe/stun'
import { expect } from 'vitest'
import { Allocation, type AllocationOptions, type AllocationOutput } from '../src/index.ts'

export const server = { ip: '192.0.2.1', port: 3478 }
export const local = { ip: '198.51.100.1', port: 50_000 }
export const relayed = { ip: '192.0.2.1', port: 60_000 }
export const mapped = { ip: '203.0.113.1', port: 40_000 }
export const peer = { ip: '203.0.113.9', port: 9 }
export const KEY = longTermKey('user', 'realm', 'secret')
export const CHALLENGE: Attributes = {
  errorCode: { code: 401, reason: 'Unauthorized' },
  realm: 'realm',
  nonce: 'nonce',
}
export const GRANT: Attributes = { xorRelayedAddress: [relayed], xorMappedAddress: mapped, lifetime: 600 }

export class Script {
  readonly allocation: Allocation
  now = 0
  /** All outputs but packets since the last look. */
  #outputs: AllocationOutput[] = []
  readonly packets: Packet[] = []
  #protocol: 'udp' | 'tcp'

  constructor(options: Partial<AllocationOptions> = {}) {
    let count = 0
    // Counting, so that ids differ and runs do not.
    const random = (length: number) =>
      new Uint8Array(length)
        .fill(0, 1)
        .fill(++count >> 8, 0, 1)
        .fill(count & 255, 1, 2)
    const base = { server, local, protocol: 'udp', username: 'user', credential: 'secret', random } as const
    this.#protocol = options.protocol ?? 'udp'
    this.allocation = new Allocation({ ...base, ...options })
  }

  /** One call, and everything that comes out. */
  do<T>(action: (allocation: Allocation, now: number) => T): T {
    const result = action(this.allocation, this.now)
    for (let output = this.allocation.poll(); output; output = this.allocation.poll()) {
      if (output.type === 'packet') this.packets.push(output.packet)
      else this.#outputs.push(output)
    }
    return result
  }

  /** What came out since the last look, packets aside. */
  take(): AllocationOutput[] {
    return this.#outputs.splice(0)
  }

  /** The last request of this method. */
  request(method: Method): DecodedMessage {
    const all = this.packets.map(({ bytes }) => decode(bytes)).filter((message) => message?.method === method)
    expect(all.length, `no ${method} was sent`).toBeGreaterThan(0)
    return all.at(-1)!
  }

  count(method: Method): number {
    return this.packets.filter(({ bytes }) => decode(bytes)?.method === method).length
  }

  /** Answers the last request of this method: an error when the attributes have an error code. `null`: unsigned. */
  answer(method: Method, attributes: Attributes = {}, key: IntegrityKey | null = KEY) {
    const { transactionId } = this.request(method)
    const kind = attributes.errorCode ? 'error' : 'success'
    return this.deliver(encode({ method, class: kind, transactionId, attributes }, { key: key ?? undefined }))
  }

  deliver(bytes: Uint8Array, path: Partial<Packet> = {}): boolean {
    const borrowed = bytes.slice()
    const packet = { protocol: this.#protocol, local: this.allocation.local, remote: server, bytes: borrowed, ...path }
    return this.do((allocation, now) => allocation.handlePacket(now, packet))
  }

  /** From deadline to deadline until `time`. */
  runTo(time: number) {
    while (this.allocation.timeout() <= time) {
      this.now = Math.max(this.now, this.allocation.timeout())
      this.do((allocation, now) => allocation.handleTimeout(now))
    }
    this.now = time
  }

  /** An allocation that stands. */
  allocate(grant: Attributes = GRANT): this {
    this.do((allocation, now) => allocation.allocate(now))
    this.answer('allocate', CHALLENGE, null)
    this.answer('allocate', grant)
    expect(this.take()).toMatchObject([{ type: 'allocated' }])
    return this
  }

  /** The same with a permission for `peer` and a channel to it. */
  bind(): this {
    this.allocate()
    this.do((allocation, now) => allocation.bindChannel(now, peer))
    this.answer('createPermission')
    this.answer('channelBind')
    expect(this.take()).toMatchObject([{ type: 'permission' }])
    return this
  }
}

export function channelData(number: number, data: readonly number[], length = data.length): Uint8Array {
  return Uint8Array.of(number >> 8, number & 255, length >> 8, length & 255, ...data)
}

export function dataIndication(from: { ip: string; port: number }, data: readonly number[]): Uint8Array {
  const attributes = { xorPeerAddress: [from], data: Uint8Array.from(data) }
  return encode({ method: 'data', class: 'indication', transactionId: 'from-server!', attributes })
}
