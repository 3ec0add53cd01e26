import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { decode, encode, newTransactionId } from '@floe/stun'

/** Whether a STUN server answers at this address over UDP within `timeout` ms. */
export function answersBinding(ip: string, port: number, timeout: number): Promise<boolean> {
  const transactionId = newTransactionId(randomBytes)
  const request = encode({ method: 'binding', class: 'request', transactionId, attributes: {} })
  const socket = createSocket(isIPv6(ip) ? 'udp6' : 'udp4')
  return new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), timeout)
    socket.on('message', (bytes) => {
      if (decode(bytes)?.transactionId !== transactionId) return
      clearTimeout(timer)
      resolve(true)
    })
    // A port that nobody has yet: the answer is the ICMP error, and the next attempt should not come at once.
    socket.on('error', () => {})
    socket.send(request, port, ip)
  }).finally(() => socket.close())
}
