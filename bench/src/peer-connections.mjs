/**
 * The implementations of RTCPeerConnection that Node can load, behind one shape. Each is imported when it is asked for, so
 * that a process has one of them, and one that cannot be had here costs nothing but its own figures. Host candidates,
 * handed over one by one by direct calls, within this machine.
 */

/**
 * @typedef {object} OpenPair two connections of this process, with a reliable and ordered channel that is open at both
 * @property {import('@floe/webrtc').RTCDataChannel} sender W3C's RTCDataChannel, as are all here but that of connect()
 * @property {RTCDataChannel} receiver
 * @property {() => Promise<unknown>} close
 */

/** @type {Record<string, () => Promise<{ open(): Promise<OpenPair> }>>} */
export const PEER_CONNECTIONS = {
  floe: plainFloe,
  'floe, MTU 1500': async () => {
    await limitPacketSize()
    return plainFloe()
  },
  'floe, connect()': connectedFloe,
  'floe, connect(), MTU 1500': async () => {
    await limitPacketSize()
    return connectedFloe()
  },
  werift: async () => {
    const { RTCPeerConnection } = await import('werift')
    const loopback = { iceServers: [], iceUseIpv4: false, iceUseIpv6: false, iceAdditionalHostAddresses: ['127.0.0.1'] }
    return { open: () => openPair(() => new RTCPeerConnection(loopback)) }
  },
  '@roamhq/wrtc': async () => {
    const { default: wrtc } = await import('@roamhq/wrtc')
    return { open: () => openPair(() => new wrtc.RTCPeerConnection({ iceServers: [] })) }
  },
  'node-datachannel': async () => {
    const { RTCPeerConnection } = await import('node-datachannel/polyfill')
    return { open: () => openPair(() => new RTCPeerConnection({ iceServers: [] })) }
  },
}

/** Less the headers of IPv4 and UDP. */
const UDP_BYTES_ON_ETHERNET = 1472

const LOOPBACK = { ice: { includeLoopback: true, interfaceFilter: ({ ip }) => ip === '127.0.0.1' } }

async function plainFloe() {
  const { RTCPeerConnection } = await import('@floe/webrtc')
  return { open: () => openPair(() => new RTCPeerConnection(LOOPBACK)) }
}

/** As between two machines: what an Ethernet would not carry in one piece is lost. */
async function limitPacketSize() {
  const { IceTransport } = await import('@floe/ice/node')
  const { send } = IceTransport.prototype
  IceTransport.prototype.send = function (bytes) {
    return bytes.length > UDP_BYTES_ON_ETHERNET || send.call(this, bytes)
  }
}

/** A `Connection` on its direct path: the session's frames, acknowledgements and window come on top of the channel. */
async function connectedFloe() {
  const { connect } = await import('@floe/webrtc')
  const open = async () => {
    const options = { configuration: LOOPBACK, relay: false }
    const [sending, receiving] = await Promise.all(signalingPair().map((end) => connect(end, options)))
    const receiver = { onmessage: undefined }
    receiving.onmessage = (data) => receiver.onmessage?.({ data })
    return { sender: sending, receiver, close: () => Promise.all([sending.close(), receiving.close()]) }
  }
  return { open }
}

function signalingPair() {
  const ends = [{ polite: false }, { polite: true }]
  for (const [i, end] of ends.entries()) {
    const held = []
    let listener = null
    end.take = (message) => {
      if (listener) listener(message)
      else held.push(message)
    }
    end.send = (message) => setImmediate(() => ends[1 - i].take(structuredClone(message)))
    Object.defineProperty(end, 'onmessage', {
      get: () => listener,
      set: (given) => {
        listener = given
        while (listener && held.length > 0) listener(held.shift())
      },
    })
  }
  return ends
}

async function openPair(create) {
  const [a, b] = [create(), create()]
  for (const [from, to] of [
    [a, b],
    [b, a],
  ]) {
    from.onicecandidate = ({ candidate }) => candidate && pass(candidate, to)
  }
  const sender = a.createDataChannel('bench')
  const received = new Promise((resolve) => {
    b.ondatachannel = ({ channel }) => resolve(channel)
  })
  const offer = await a.createOffer()
  await a.setLocalDescription(offer)
  await b.setRemoteDescription(offer)
  described(b).resolve()
  const answer = await b.createAnswer()
  await b.setLocalDescription(answer)
  await a.setRemoteDescription(answer)
  described(a).resolve()
  const receiver = await received
  await Promise.all([sender, receiver].map(isOpen))
  for (const channel of [sender, receiver]) channel.binaryType = 'arraybuffer'
  return { sender, receiver, close: () => Promise.all([a.close(), b.close()]) }
}

async function pass(candidate, to) {
  // Some ask for candidates before they have the description that they belong to.
  await described(to)
  try {
    await to.addIceCandidate(candidate)
  } catch (error) {
    // The last ones may come when the connection is up and away already, of which libwebrtc complains.
    if (to.signalingState !== 'closed') throw error
  }
}

const descriptions = new WeakMap()

/** A promise that is resolved from outside, when the connection has the peer's description. */
function described(connection) {
  let known = descriptions.get(connection)
  if (!known) {
    let settle
    known = new Promise((resolve) => {
      settle = resolve
    })
    known.resolve = settle
    descriptions.set(connection, known)
  }
  return known
}

function isOpen(channel) {
  return new Promise((resolve) => {
    if (channel.readyState === 'open') resolve()
    else channel.onopen = resolve
  })
}
