/** Plain UDP sockets on a host, for measurements that want no protocol in between. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { resolve6 } from 'node:dns/promises'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'
import { serve } from './serve.ts'

interface Arrival {
  readonly text: string
  readonly ip: string
  readonly port: number
}

interface Endpoint {
  readonly socket: Socket
  readonly arrived: Arrival[]
  wake: () => void
}

const endpoints: Endpoint[] = []

serve({
  /** Opens a socket; port 0 is any. Its number is for the other methods. */
  async open(ip: string, port: number) {
    const socket = createSocket(isIPv6(ip) ? 'udp6' : 'udp4')
    const endpoint: Endpoint = { socket, arrived: [], wake: () => {} }
    socket.on('message', (bytes, { address, port }: RemoteInfo) => {
      endpoint.arrived.push({ text: bytes.toString('latin1'), ip: address, port })
      endpoint.wake()
    })
    socket.on('error', () => {}) // An ICMP message about an earlier packet; whether anything arrives is what counts.
    socket.bind(port, ip)
    await once(socket, 'listening')
    return { id: endpoints.push(endpoint) - 1, port: socket.address().port }
  },
  resolve: (name: string) => resolve6(name),
  send(id: number, text: string, ip: string, port: number) {
    endpoints[id]!.socket.send(Buffer.from(text, 'latin1'), port, ip)
  },
  /** The next packet with this text, dropping others before it; null when none comes within `timeout` milliseconds. */
  async receive(id: number, text: string, timeout: number): Promise<Arrival | null> {
    const endpoint = endpoints[id]!
    const deadline = performance.now() + timeout
    for (;;) {
      const arrival = endpoint.arrived.shift()
      if (arrival?.text === text) return arrival
      if (arrival) continue
      const left = deadline - performance.now()
      if (left <= 0) return null
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        endpoint.wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  },
})
