/** One round of the first-message benchmark; the very same code runs in Node and in a page of Chromium. */
import { joinRoom } from '@floe/signaling'
import { connect } from '@floe/webrtc'

/**
 * Two ends in the room `name` call connect() at the same moment; the first sends a message as soon as it may. Resolves
 * with the milliseconds from the call to the message at the other end.
 */
export async function firstMessage(server, name, options) {
  const rooms = [await joinRoom(server, { room: name }), await joinRoom(server, { room: name })]
  const peers = await Promise.all(rooms.map((room) => new Promise((resolve) => (room.onpeer = resolve))))
  while (peers.some(({ relay }) => relay?.state !== 'open')) await new Promise((resolve) => setTimeout(resolve, 5))
  const start = performance.now()
  const connections = peers.map((peer) => connect(peer, options))
  const milliseconds = await new Promise((resolve, reject) => {
    connections[0].then((connection) => connection.send('the first message'), reject)
    connections[1].then((connection) => (connection.onmessage = () => resolve(performance.now() - start)), reject)
  })
  for (const connection of await Promise.all(connections)) await connection.close()
  await Promise.all(rooms.map((room) => room.leave()))
  return milliseconds
}
