/**
 * Hostile clients, over bare WebSockets: `node attacker.mjs URL malformed 100000` or `… flood 1000`.
 * They come from 100 addresses, as X-Forwarded-For says it, and share one processor with nobody but themselves.
 */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'

const [url, kind, count] = process.argv.slice(2)
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)
const totals = { sent: 0, answered: 0, closed: 0, refused: 0 }
say({ event: 'listening' })
if (kind === 'malformed') await malformed(Number(count))
else await flood(Number(count))
say({ event: 'done', ...totals })
process.exit()

/** A connection that has joined, or `undefined` when it was turned away. */
async function join(address, room) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`, {
    headers: { 'x-forwarded-for': `203.0.113.${address % 100}` },
  })
  socket.on('error', () => {})
  socket.on('message', (data) => {
    if (`${data}` === '2') socket.send('3')
    else totals.answered += 1
  })
  socket.once('close', () => {
    totals.closed += 1
  })
  const opened = await Promise.race([once(socket, 'open').then(() => true), once(socket, 'close').then(() => false)])
  if (!opened) {
    totals.refused += 1
    return undefined
  }
  const auth = { version: 1, room, agent: 'node', resumeToken: randomBytes(16).toString('hex') }
  socket.send(`40${JSON.stringify(auth)}`)
  return socket
}

/** Every kind of nonsense in turn: packets of no layer, of the wrong layer, of the wrong shape. */
async function malformed(messages) {
  const kinds = [
    '42["signal"]',
    '420["signal",null,null,null]',
    '421["signal",-1,"x",{"bye":""}]',
    '422["signal",1,"x",{"description":{"type":"order"}}]',
    `423["signal",1,"x",{"candidate":{"candidate":"${'x'.repeat(2_000)}"}}]`,
    `424["signal",1,"x",${'['.repeat(200)}${']'.repeat(200)}]`,
    '425["signal",1e999,"__proto__",{"__proto__":{"polluted":1}}]',
    '426["constructor",{"prototype":1}]',
    '42["leave"',
    '42{',
    '451-["signal",{"_placeholder":true,"num":9}]',
    '9',
    '\u0000',
  ]
  let socket
  for (let number = 0; number < messages; number++) {
    if (socket === undefined || socket.readyState !== WebSocket.OPEN)
      socket = await join(number, `nonsense-${number % 100}`)
    socket?.send(kinds[number % kinds.length])
    totals.sent += 1
    if (number % 13 === 12) await delay(0)
  }
}

/** Each sends as fast as it is taken, comes back when it is shown the door, and all that for ten seconds. */
async function flood(clients) {
  const until = performance.now() + 10_000
  const message = `421["signal",1,"nobody",{"bye":"${'x'.repeat(200)}"}]`
  await Promise.all(
    Array.from({ length: clients }, async (_, index) => {
      await delay(index)
      while (performance.now() < until) {
        const socket = await join(index, `flood-${index % 50}`)
        while (socket?.readyState === WebSocket.OPEN && performance.now() < until) {
          if (socket.bufferedAmount < 16_384) {
            for (let burst = 0; burst < 20; burst++) socket.send(message)
            totals.sent += 20
          }
          await delay(10)
        }
        await delay(100)
      }
    }),
  )
}
