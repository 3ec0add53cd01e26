/** A peer of relay-clients.mjs: sends back what comes. It ends with its parent. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { IceTransport } from '@floe/ice/node'
import { Connection } from 'werift'
import { acceptWerift, FLOE, WERIFT, weriftDescription } from './relay-clients.mjs'

const ECHOES = { floe: echoFloe, bare: echoBare, werift: echoWerift }

process.on('disconnect', () => process.exit())
await ECHOES[process.argv[2]]()

function echoFloe() {
  const agent = new IceTransport(FLOE)
  agent.ondata = (bytes) => agent.send(bytes)
  agent.addEventListener('icecandidate', ({ candidate }) => process.send({ candidate }))
  process.on('message', ({ parameters, candidate }) => {
    if (parameters) agent.start(parameters, 'controlled')
    else agent.addRemoteCandidate(candidate)
  })
  process.send({ parameters: agent.getLocalParameters() })
  agent.gather()
}

async function echoBare() {
  const socket = createSocket('udp4')
  socket.on('message', (bytes, { address, port }) => socket.send(bytes, port, address))
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  process.send({ port: socket.address().port })
}

async function echoWerift() {
  const agent = new Connection(false, WERIFT)
  agent.stunServer = undefined
  agent.onData.subscribe((bytes) => agent.send(bytes))
  await agent.gatherCandidates()
  const [parent] = await Promise.all([once(process, 'message'), process.send(weriftDescription(agent))])
  await acceptWerift(agent, parent[0])
}
