import { Socket } from 'node:dgram'
import { IceTransport, type IceTransportOptions } from '../../src/node/index.ts'

/** One address: connections are made the same way on every machine. */
export const LOOPBACK: IceTransportOptions = {
  includeLoopback: true,
  interfaceFilter: ({ ip }) => ip === '127.0.0.1',
}

/** What signaling would do, at once. */
export function trickle(from: IceTransport, to: IceTransport): void {
  from.addEventListener('icecandidate', ({ candidate }) => {
    if (to.state !== 'closed') to.addRemoteCandidate(candidate)
  })
}

/** Two transports of this process, connected. */
export async function connectedPair(
  left: IceTransportOptions = LOOPBACK,
  right: IceTransportOptions = left,
): Promise<[IceTransport, IceTransport]> {
  const [a, b] = [
    new IceTransport({ ...left, role: 'controlling' }),
    new IceTransport({ ...right, role: 'controlled' }),
  ]
  await connect(a, b)
  return [a, b]
}

/** Resolves once they are connected with each other. */
export async function connect(a: IceTransport, b: IceTransport): Promise<void> {
  trickle(a, b)
  trickle(b, a)
  a.gather()
  b.gather()
  a.start(b.getLocalParameters())
  b.start(a.getLocalParameters())
  const signal = AbortSignal.timeout(10_000)
  await Promise.all([a.connected({ signal }), b.connected({ signal })])
}

/** Resolves with the next event of the type that fits. */
export function next<E extends Event>(target: EventTarget, type: string, fits: (event: E) => boolean = () => true) {
  return new Promise<E>((resolve) => {
    const listener = (event: Event) => {
      if (!fits(event as E)) return
      target.removeEventListener(type, listener)
      resolve(event as E)
    }
    target.addEventListener(type, listener)
  })
}

/** UDP sockets of this process, once those that are being closed are gone: libuv does that in its next round. */
export async function openUdpHandles(): Promise<number> {
  for (let round = 0; round < 3; round++) await new Promise(setImmediate)
  return process.getActiveResourcesInfo().filter((name) => name === 'UDPWrap').length
}

/** Node's own socket at a port, which nobody gives away. */
export function udpSocketAt(port: number): Socket {
  const { _getActiveHandles: handles } = process as unknown as { _getActiveHandles(): unknown[] }
  const sockets = handles.call(process).filter((handle): handle is Socket => handle instanceof Socket)
  return sockets.find((socket) => {
    try {
      return socket.address().port === port
    } catch {
      return false // One of the test before, which is still being closed.
    }
  })!
}
