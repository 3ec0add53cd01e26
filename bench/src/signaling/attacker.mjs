/**
 * Hostile clients, over bare WebSockets: `node attacker.mjs URL '{"malformed":100000}'` or `… '{"flooders":1000,"addresses":4}'`.
 * They come from addresses of their own, 127.1.0.0 and following, which Linux takes for this machine like 127.0.0.1.
 */

import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'

const [url, plan] = process.argv.slice(2)
/** `seconds`: for how long those who flood do so. `addresses`: from how many they come together. */
const { malformed, flooders, seconds = 10, addresses = 100 } = JSON.parse(plan)
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)
const totals = { sent: 0, answered: 0, closed: 0, refused: 0 }
say({ event: 'listening' })
if (malformed) await talkNonsense(malformed)
if (flooders) await flood(flooders)
say({ event: 'done', ...totals })
process.exit()

/** A connection that has joined, or `undefined` when it was turned away. */
async function join(address, room) {
  const from = address % addresses
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`, {
    localAddress: `127.1.${from >> 8}.${from & 255}`,
  })
  const auth = { version: 1, room, agent: 'node', resumeToken: randomBytes(16).toString('hex') }
  const joined = new Promise((resolve) => {
    socket.on('message', (data) => {
      const text = `${data}`
      if (text.startsWith('0')) socket.send(`40${JSON.stringify(auth)}`)
      else if (text === '2') socket.send('3')
      else if (text.startsWith('40')) resolve()
      else totals.answered += 1
    })
    socket.once('close', resolve)
  })
  socket.on('error', () => {})
  socket.once('close', () => {
    totals.closed += 1
  })
  await joined
  if (socket.readyState === WebSocket.OPEN) return socket
  totals.refused += 1
  return undefined
}

/** Every kind of nonsense in turn: packets of no layer, of the wrong layer, of the wrong shape. */
async function talkNonsense(messages) {
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

/**
 * Each sends as fast as it is taken, and comes back when it is shown the door. Of ten, seven say what has to be parsed, checked
 * and answered; one says what looks like an acknowledgement and one what looks like a heartbeat, which are bound to no limit of
 * messages; one leaves as soon as it has joined, and comes back.
 */
async function flood(clients) {
  const until = performance.now() + seconds * 1_000
  const signal = `421["signal",1,"nobody",{"bye":"${'x'.repeat(200)}"}]`
  const others = ['4399[null]', '3', undefined]
  await Promise.all(
    Array.from({ length: clients }, async (_, index) => {
      const kind = index % 10
      const message = kind < 7 ? signal : others[kind - 7]
      await delay(index)
      while (performance.now() < until) {
        const socket = await join(index, `flood-${index % 50}`)
        if (message === undefined) socket?.terminate()
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
