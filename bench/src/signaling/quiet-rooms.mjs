/**
 * Rooms of two, in each of which one message goes to and fro: `node quiet-rooms.mjs URL '{"rooms":50,"pause":100}'`,
 * with pauses of `pause` ms on average. One JSON line per round trip, `{ event: 'round', milliseconds }`, and one more when a
 * room is lost.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { joinRoom } from '@floe/signaling'

const [url, plan] = process.argv.slice(2)
const { rooms, pause } = JSON.parse(plan)
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)
await Promise.all(Array.from({ length: rooms }, (_, index) => open(`quiet-${index}`)))
say({ event: 'listening' })

async function open(name) {
  const [first, second] = await Promise.all([1, 2].map(() => joinRoom(url, { room: name })))
  first.addEventListener('statechange', () => say({ event: 'lost', room: name, state: first.state }))
  const echo = (peer) => {
    peer.onmessage = (message) => peer.send(message)
  }
  second.onpeer = echo
  first.onpeer = async (peer) => {
    for (;;) {
      const answered = new Promise((resolve) => {
        peer.onmessage = resolve
      })
      const sent = performance.now()
      peer.send({ candidate: { candidate: 'candidate:1 1 udp 2122260223 192.0.2.1 54321 typ host', sdpMid: '0' } })
      await answered
      say({ event: 'round', milliseconds: performance.now() - sent })
      // At random: with equal pauses a moment of silence would have all rooms speak at once from then on.
      await delay(pause * (0.5 + Math.random()))
    }
  }
}
