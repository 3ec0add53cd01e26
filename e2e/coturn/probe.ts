import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, isIPv6 } from 'node:net'
import { decode, encode, newTransactionId } from '@floe/stun'

/** A port that nobody has over UDP or TCP on any of these addresses. Somebody else may take it meanwhile. */
export async function freePort(ips: readonly string[]): Promise<number> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const port = await claim(ips[0]!, 0)
    if (port === undefined) continue
    const rest = await Promise.all(ips.slice(1).map((ip) => claim(ip, port)))
    if (!rest.includes(undefined)) return port
  }
  throw new Error(`no port is free on all of ${ips.join(', ')}`)
}

/** Does a STUN server answer there within `timeout` ms? */
export async function answersBinding(
  ip: string,
  port: number,
  transport: 'udp' | 'tcp',
  timeout: number,
): Promise<boolean> {
  const transactionId = newTransactionId(randomBytes)
  const request = encode({ method: 'binding', class: 'request', transactionId, attributes: {} })
  const isAnswer = (bytes: Uint8Array) => decode(bytes)?.transactionId === transactionId
  const socket = transport === 'udp' ? createSocket(isIPv6(ip) ? 'udp6' : 'udp4') : connect(port, ip)
  return new Promise<boolean>((resolve) => {
    const finish = (answered: boolean) => {
      clearTimeout(timer)
      if ('destroy' in socket) socket.destroy()
      else if (!closed) socket.close()
      closed = true
      resolve(answered)
    }
    let closed = false
    const timer = setTimeout(() => finish(false), timeout)
    socket.on('error', () => finish(false))
    socket.on('message', (bytes: Uint8Array) => finish(isAnswer(bytes)))
    socket.on('data', (bytes: Uint8Array) => finish(isAnswer(bytes)))
    if ('destroy' in socket) socket.write(request)
    else socket.send(request, port, ip)
  })
}

async function claim(ip: string, wanted: number): Promise<number | undefined> {
  const server = createServer()
  const socket = createSocket(isIPv6(ip) ? 'udp6' : 'udp4')
  try {
    server.listen(wanted, ip)
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    socket.bind(port, ip)
    await once(socket, 'listening')
    return port
  } catch {
    return undefined
  } finally {
    server.close()
    socket.close()
  }
}
