/**
 * A load balancer as simple as can be, in a process of its own: every TCP connection goes to some server that answers, and no
 * client is kept with any of them. `node balancer.mjs URL URL …`
 */
import { connect, createServer } from 'node:net'

const ports = process.argv.slice(2).map((url) => Number(new URL(url).port))
let turn = 0

const balancer = createServer((client) => {
  client.on('error', () => {})
  reach(client, ports.length)
})
balancer.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () => {
  const { port } = balancer.address()
  process.stdout.write(`${JSON.stringify({ event: 'listening', url: `http://127.0.0.1:${port}` })}\n`)
})

function reach(client, attempts) {
  if (attempts === 0 || client.destroyed) {
    client.destroy()
    return
  }
  const server = connect(ports[turn++ % ports.length], '127.0.0.1')
  let reached = false
  server.on('connect', () => {
    reached = true
    client.pipe(server).pipe(client)
  })
  server.on('error', () => {})
  server.on('close', () => {
    if (reached) client.destroy()
    else reach(client, attempts - 1)
  })
  client.on('close', () => server.destroy())
}
