/** A page with PeerJS as it comes from npm, over the browser's own WebRTC. It sends back what it gets. */
import { type DataConnection, Peer, type PeerOptions } from 'peerjs'

declare global {
  interface Window {
    /** Resolves when the PeerServer knows this page by `id`. */
    register(id: string, options: PeerOptions): Promise<void>
    /** Resolves when the connection is open. */
    connectTo(id: string, serialization: string): Promise<void>
    /** Whether the latest connection is over. */
    hungUp: boolean
    hangUp(): void
  }
}

let peer: Peer
let latest: DataConnection

function serve(connection: DataConnection): void {
  latest = connection
  window.hungUp = false
  connection.on('data', (data) => connection.send(data))
  connection.on('close', () => {
    window.hungUp = true
  })
}

window.register = (id, options) => {
  peer = new Peer(id, options)
  peer.on('connection', serve)
  return new Promise((resolve, reject) => {
    peer.on('open', () => resolve())
    peer.on('error', reject)
  })
}

window.connectTo = (id, serialization) => {
  const connection = peer.connect(id, { serialization, reliable: true })
  serve(connection)
  return new Promise((resolve, reject) => {
    connection.on('open', () => resolve())
    connection.on('error', reject)
  })
}

window.hangUp = () => latest.close()
