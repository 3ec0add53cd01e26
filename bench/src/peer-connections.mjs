/**
 * The implementations of RTCPeerConnection that Node can load, behind one shape. Each is imported when it is asked for, so
 * that a process has one of them, and one that cannot be had here costs nothing but its own figures. Host candidates,
 * handed over one by one by direct calls, within this machine.
 */

/**
 * @typedef {object} OpenPair two connections of this process, with a reliable and ordered channel that is open at both
 * @property {import('@floe/webrtc').RTCDataChannel} sender W3C's RTCDataChannel, as are all here
 * @property {RTCDataChannel} receiver
 * @property {() => Promise<unknown>} close
 */

/** @type {Record<string, () => Promise<{ open(): Promise<OpenPair> }>>} */
export const PEER_CONNECTIONS = {
  floe: connectFloe,
  /** As between two machines: what an Ethernet would not carry in one piece is lost. */
  'floe, MTU 1500': async () => {
    const { IceTransport } = await import('@floe/ice/node')
    const { send } = IceTransport.prototype
    IceTransport.prototype.send = function (bytes) {
      return bytes.length > UDP_BYTES_ON_ETHERNET || send.call(this, bytes)
    }
    return connectFloe()
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

async function connectFloe() {
  const { RTCPeerConnection } = await import('@floe/webrtc')
  const loopback = { ice: { includeLoopback: true, interfaceFilter: ({ ip }) => ip === '127.0.0.1' } }
  return { open: () => openPair(() => new RTCPeerConnection(loopback)) }
}

async function openPair(create) {
  const [a, b] = [create(), create()]
  for (const [from, to] of [
    [a, b],
    [b, a],
  ]) {
    // Some ask for candidates before they have the description that they belong to.
    from.onicecandidate = ({ candidate }) => candidate && described(to).then(() => to.addIceCandidate(candidate))
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
