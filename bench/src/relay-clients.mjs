/**
 * Who speaks through the relay, behind one shape: an ICE agent of floe's or werift's that may use nothing but its relay,
 * and a bare socket with a channel on the same server. What they send comes back from their peer, an echo in a process of
 * its own (relay-echo.mjs), which is right beside the server: an agent of the same make, or a bare socket.
 */
import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { join } from 'node:path'
import { IceTransport } from '@floe/ice/node'
import { Allocation } from '@floe/turn'
import { Candidate, Connection } from 'werift'

const LOOPBACK = '127.0.0.1'

/**
 * @typedef {object} Relayed
 * @property {(bytes: Buffer) => unknown} send
 * @property {(consumer: () => void) => void} onreceive called for each packet that has come back
 * @property {() => Promise<unknown>} close
 */

/** @type {Record<string, (server: object) => Promise<Relayed>>} */
export const CLIENTS = { floe: connectFloe, bare: connectBare, werift: connectWerift }
/** The same without the relay, for what it adds. */
export const DIRECT = { floe: () => connectFloe(), bare: () => connectBare() }

/** Of the addresses of this machine loopback alone. */
export const FLOE = { includeLoopback: true, interfaceFilter: ({ ip }) => ip === LOOPBACK, tcp: false }
export const WERIFT = { useIpv4: false, useIpv6: false, additionalHostAddresses: [LOOPBACK] }

async function connectFloe(server) {
  const echo = startEcho('floe')
  const agent = new IceTransport({ ...FLOE, ...(server && relayOnly(server)) })
  agent.addEventListener('icecandidate', ({ candidate }) => echo.send({ candidate }))
  echo.on('message', ({ parameters, candidate }) => {
    if (parameters) agent.start(parameters, 'controlling')
    else agent.addRemoteCandidate(candidate)
  })
  agent.gather()
  echo.send({ parameters: agent.getLocalParameters() })
  await agent.connected()
  await pause(CONFIRMED_AFTER)
  return {
    send: (bytes) => agent.send(bytes),
    onreceive: (consumer) => {
      agent.ondata = consumer
    },
    close: () => Promise.all([agent.close(), end(echo)]),
  }
}

function relayOnly(server) {
  const { username, credential } = server
  return { gatherPolicy: 'relay', iceServers: [{ urls: server.url('turn', 'udp'), username, credential }] }
}

async function connectWerift(server) {
  const echo = startEcho('werift')
  const agent = new Connection(true, {
    ...WERIFT,
    forceTurn: true,
    turnServer: [server.ip, server.port],
    turnUsername: server.username,
    turnPassword: server.credential,
    turnTransport: 'udp',
  })
  agent.stunServer = undefined // Left out in the options it is one of Google's.
  const [peer] = await once(echo, 'message')
  await agent.gatherCandidates()
  echo.send(weriftDescription(agent))
  await acceptWerift(agent, peer)
  return {
    send: (bytes) => agent.send(bytes),
    onreceive: (consumer) => agent.onData.subscribe(consumer),
    close: () => Promise.all([agent.close(), end(echo)]),
  }
}

export function weriftDescription({ localUsername: usernameFragment, localPassword: password, localCandidates }) {
  const parameters = { usernameFragment, password, iceLite: false }
  return { parameters, candidates: localCandidates.map((candidate) => candidate.toSdp()) }
}

/** Connects. */
export async function acceptWerift(agent, { parameters, candidates }) {
  agent.setRemoteParams(parameters)
  for (const candidate of candidates) await agent.addRemoteCandidate(Candidate.fromSdp(candidate))
  await agent.addRemoteCandidate(undefined)
  await agent.connect()
}

/** The least that can be: a connected socket that writes and reads four bytes before the data, if there is a server. */
async function connectBare(server) {
  const echo = startEcho('bare')
  const [{ port: peerPort }] = await once(echo, 'message')
  const peer = { ip: LOOPBACK, port: peerPort }
  const to = server ?? peer
  const socket = createSocket('udp4')
  socket.bind(0, LOOPBACK)
  await once(socket, 'listening')
  socket.connect(to.port, to.ip)
  await once(socket, 'connect')
  const number = server && (await bindChannel(server, socket, peer))
  return {
    ...(number === undefined ? unframed(socket) : framed(socket, number)),
    close: () => Promise.all([new Promise((resolve) => socket.close(resolve)), end(echo)]),
  }
}

function unframed(socket) {
  return { send: (bytes) => socket.send(bytes), onreceive: (consumer) => socket.on('message', consumer) }
}

function framed(socket, number) {
  const header = Buffer.alloc(4)
  header.writeUInt16BE(number, 0)
  return {
    send(bytes) {
      header.writeUInt16BE(bytes.length, 2)
      socket.send(Buffer.concat([header, bytes]))
    },
    onreceive: (consumer) =>
      socket.on('message', (bytes) => {
        if (bytes.readUInt16BE(0) === number) consumer(bytes.subarray(4, 4 + bytes.readUInt16BE(2)))
      }),
  }
}

/** Has an Allocation ask for a channel; what is left of it afterwards is the number. */
async function bindChannel({ ip, port, username, credential }, socket, peer) {
  const own = socket.address()
  const [local, remote] = [
    { ip: own.address, port: own.port },
    { ip, port },
  ]
  const allocation = new Allocation({
    server: remote,
    local,
    protocol: 'udp',
    username,
    credential,
    random: randomBytes,
  })
  const settle = () => {
    for (let output = allocation.poll(); output; output = allocation.poll()) {
      if (output.type === 'packet') socket.send(output.packet.bytes)
      else if (output.type === 'failed') throw new Error(output.reason)
      else if (output.type === 'allocated') allocation.bindChannel(performance.now(), peer)
    }
  }
  const receive = (bytes) => {
    allocation.handlePacket(performance.now(), { protocol: 'udp', local, remote, bytes })
    settle()
  }
  socket.on('message', receive)
  allocation.allocate(performance.now())
  settle()
  await pause(CONFIRMED_AFTER)
  socket.off('message', receive)
  return FIRST_CHANNEL
}

function startEcho(kind) {
  return fork(join(import.meta.dirname, 'relay-echo.mjs'), [kind], { execArgv: [] })
}

async function end(echo) {
  const exited = once(echo, 'exit')
  echo.disconnect()
  await exited
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** Milliseconds in which a channel on this machine is surely bound. */
const CONFIRMED_AFTER = 300
/** RFC 8656 §12. */
const FIRST_CHANNEL = 0x4000
