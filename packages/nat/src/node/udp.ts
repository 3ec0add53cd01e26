import { createSocket, type Socket } from 'node:dgram'
import type { Address } from '@floe/stun'

type Lookup = (name: string, options: unknown, callback: (error: null, ip: string, family: number) => void) => void

/** Addresses here are IP literals: with a lookup that answers at once, bind() and send() are done when they return. */
const passThrough: Lookup = (ip, _options, callback) => callback(null, ip, ip.includes(':') ? 6 : 4)

/** Bound when it returns. Throws the system's error: EADDRINUSE, EADDRNOTAVAIL, … Later errors cost one packet. */
export function openSocket({ ip, port }: Address, shared = false): Socket {
  const isIPv6 = ip.includes(':')
  const type = isIPv6 ? 'udp6' : 'udp4'
  const socket = createSocket({ type, ipv6Only: isIPv6, reuseAddr: shared, lookup: passThrough })
  let failure: Error | undefined
  socket.once('error', (error) => {
    failure = error
  })
  socket.bind({ address: ip, port, exclusive: true })
  if (failure !== undefined) {
    socket.close()
    throw failure
  }
  socket.on('error', () => {})
  return socket
}

/** Hands the datagram to the system. A refusal (ENETUNREACH, EPERM, …) is a lost packet. */
export function sendFrom(socket: Socket, bytes: Uint8Array, { ip, port }: Address): void {
  socket.send(bytes, port, ip, () => {})
}
