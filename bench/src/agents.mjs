/**
 * The agents that are compared, behind one shape: floe's IceTransport and werift's Connection, each of them one socket
 * on 127.0.0.1 (the same work on every machine, and no packet leaves it), host candidates only, handed over by direct
 * calls. werift's Connection speaks UDP alone unless told, so ICE over TCP is off for both.
 */
import { IceTransport } from '@floe/ice/node'
import { Connection } from 'werift'

/**
 * @typedef {object} ConnectedPair two agents of this process
 * @property {(bytes: Buffer) => void} send from the one
 * @property {(consumer: () => void) => void} onreceive at the other: called for each packet
 * @property {() => Promise<unknown>} close
 */

/** @type {Record<string, () => Promise<ConnectedPair>>} each resolves when both of its agents are connected */
export const CONNECT = { floe: () => connectFloe(), werift: connectWerift }

export async function connectFloe(tcp = false) {
  const options = { includeLoopback: true, interfaceFilter: ({ ip }) => ip === '127.0.0.1', tcp }
  const [a, b] = [new IceTransport(options), new IceTransport(options)]
  a.addEventListener('icecandidate', ({ candidate }) => b.addRemoteCandidate(candidate))
  b.addEventListener('icecandidate', ({ candidate }) => a.addRemoteCandidate(candidate))
  a.gather()
  b.gather()
  a.start(b.getLocalParameters(), 'controlling')
  b.start(a.getLocalParameters(), 'controlled')
  await Promise.all([a.connected(), b.connected()])
  return {
    send: (bytes) => a.send(bytes),
    onreceive: (consumer) => {
      b.ondata = consumer
    },
    close: () => Promise.all([a.close(), b.close()]),
  }
}

async function connectWerift() {
  // Of the interfaces none, of further addresses one: this is how it is made to use loopback alone.
  const options = { useIpv4: false, useIpv6: false, additionalHostAddresses: ['127.0.0.1'] }
  const [a, b] = [new Connection(true, options), new Connection(false, options)]
  for (const agent of [a, b]) agent.stunServer = undefined // Left out in the options it is one of Google's.
  a.onIceCandidate.subscribe((candidate) => b.addRemoteCandidate(candidate))
  b.onIceCandidate.subscribe((candidate) => a.addRemoteCandidate(candidate))
  a.setRemoteParams({ usernameFragment: b.localUsername, password: b.localPassword, iceLite: false })
  b.setRemoteParams({ usernameFragment: a.localUsername, password: a.localPassword, iceLite: false })
  await Promise.all([a.gatherCandidates(), b.gatherCandidates()])
  await Promise.all([a.connect(), b.connect()])
  return {
    send: (bytes) => a.send(bytes),
    onreceive: (consumer) => b.onData.subscribe(consumer),
    close: () => Promise.all([a.close(), b.close()]),
  }
}
