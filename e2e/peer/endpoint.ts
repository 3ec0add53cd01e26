import { type Signal, TestPeer, type TestPeerOptions } from './test-peer.ts'

/** What a test may ask of a TestPeer, wherever it lives. */
export type Endpoint = Omit<TestPeer, 'connection'> & { onsignal: (signal: Signal) => void }

/** A TestPeer in this process, over any implementation of the W3C class. */
export function localEndpoint(Connection: unknown, options: TestPeerOptions = {}): Endpoint {
  const peer = new TestPeer(Connection as typeof RTCPeerConnection, options, (signal) => endpoint.onsignal(signal))
  const endpoint = Object.assign(peer, { onsignal: (_: Signal) => {} })
  return endpoint
}

/** What happens to a message on its way: a changed one, or undefined for a lost one. */
export type Tamper = (signal: Signal) => Signal | undefined

export interface Link {
  /** Rejects as soon as an end refuses a message of the other. Race it against what the test waits for. */
  readonly broken: Promise<never>
}

/** Carries signals between two endpoints, in order in each direction. */
export function link(a: Endpoint, b: Endpoint, tamper: { fromA?: Tamper; fromB?: Tamper } = {}): Link {
  let reject = (_: unknown) => {}
  const broken = new Promise<never>((_, fail) => {
    reject = fail
  })
  broken.catch(() => {}) // A test that no longer listens has had its result.
  const carry = (to: Endpoint, change: Tamper = (signal) => signal) => {
    let last: Promise<unknown> = Promise.resolve()
    return (signal: Signal) => {
      const changed = change(signal)
      if (changed) last = last.then(() => to.signal(changed)).catch(reject)
    }
  }
  a.onsignal = carry(b, tamper.fromA)
  b.onsignal = carry(a, tamper.fromB)
  return { broken }
}

/** The offerer offers, and both channels open. */
export async function establish(offerer: Endpoint, { broken }: Link, answerer: Endpoint): Promise<void> {
  await Promise.race([broken, offerer.offer().then(() => Promise.all([offerer.opened(), answerer.opened()]))])
}

/** Sends so many bytes one way. Resolves with the checksums of what was sent and of what came, which should be equal. */
export async function transfer(from: Endpoint, to: Endpoint, bytes: number): Promise<[sent: string, received: string]> {
  await to.expectBulk(bytes)
  return Promise.all([from.sendBulk(bytes, 8445), to.receivedBulk()])
}
