import type { Address, Packet } from '@floe/stun'
import type { Stream, StreamOwner } from '../../src/node/stream.ts'

/** Writes down what streams tell their owner, and waits for it. */
export class Owner implements StreamOwner {
  readonly connected: { stream: Stream; address: Address }[] = []
  readonly closed: { stream: Stream; error: Error | undefined }[] = []
  readonly packets: Packet[] = []
  /** Called for each packet, for what a test has to do at once. */
  onpacket: ((packet: Packet) => void) | undefined
  #wake: (() => void)[] = []

  handleConnect(stream: Stream, address: Address): void {
    this.connected.push({ stream, address })
    this.changed()
  }

  handlePacket(packet: Packet): void {
    this.packets.push(packet)
    this.onpacket?.(packet)
    this.changed()
  }

  handleClose(stream: Stream, error?: Error): void {
    this.closed.push({ stream, error })
    this.changed()
  }

  /** Resolves when the condition holds; rejects when it does not within ten seconds. */
  async until(condition: (owner: this) => boolean): Promise<void> {
    const deadline = setTimeout(() => this.changed(), 10_000)
    const end = performance.now() + 9_990
    while (!condition(this)) {
      if (performance.now() > end) throw new Error(`not within 10 s: ${condition}; closed: ${this.closed[0]?.error}`)
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
    clearTimeout(deadline)
  }

  /** Resolves with the address of the first connection. */
  async connection(): Promise<Address> {
    await this.until(({ connected, closed }) => connected.length + closed.length > 0)
    const [first] = this.connected
    if (!first) throw this.closed[0]?.error ?? new Error('closed')
    return first.address
  }

  /** Resolves with the reason of the first end. */
  async failure(): Promise<string> {
    await this.until(({ closed }) => closed.length > 0)
    return this.closed[0]?.error?.message ?? '(none)'
  }

  protected changed(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

/** TCP sockets and servers of this process, once those that are being closed are gone. */
export async function openTcpHandles(): Promise<string[]> {
  for (let round = 0; round < 5; round++) await new Promise(setImmediate)
  return process.getActiveResourcesInfo().filter((name) => /^(TCP|TLS)/.test(name))
}
