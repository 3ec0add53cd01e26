import { type Invitation, randomRoomName, readInvitation, writeInvitation } from './address-bar.ts'
import { diagnose } from './diagnostics.ts'
import { Monitor } from './monitor.ts'
import { Session, type SessionOptions } from './session.ts'
import type { Pair } from './stats.ts'
import './style/index.css'
import { ChatView } from './view/chat.ts'
import { DiagnosticsView } from './view/diagnostics.ts'
import { byId } from './view/element.ts'
import { FilesView } from './view/files.ts'
import { PairsView } from './view/pairs.ts'
import { PathView } from './view/path.ts'
import { StartView } from './view/start.ts'
import { StatusView } from './view/status.ts'

/** The page: one session at most, and the views that show it. */

let session: Session | undefined
let pairs: readonly Pair[] = []

const start = new StartView({
  onnode: (extras) => begin({ room: `echo-${randomRoomName()}`, ...extras }, 'node'),
  ontabs: (extras) => invite({ room: randomRoomName(), ...extras }),
  onroom: (room, extras) => invite({ room, ...extras }),
})
const status = new StatusView({ onstop: reset, onretry: retry, onsecret: retryWithSecret })
const path = new PathView()
const chat = new ChatView()
const files = new FilesView()
const pairsTable = new PairsView()
const diagnostics = new DiagnosticsView(() => diagnose(session, pairs))
const monitor = new Monitor((latest) => {
  pairs = latest
  update()
})

byId('home').addEventListener('click', (event) => {
  event.preventDefault()
  reset()
})
addEventListener('hashchange', followAddress)
followAddress()

/** The fragment names a room: that is what a link of ours looks like. */
function followAddress(): void {
  const invitation = readInvitation(location.hash)
  if (invitation) begin(invitation, 'anyone')
  else update()
}

/** Enters a room that others may enter too, and makes the address the link to it. */
function invite(invitation: Invitation): void {
  history.pushState(null, '', writeInvitation(invitation))
  begin(invitation, 'anyone')
}

function begin(invitation: Invitation, expects: SessionOptions['expects']): void {
  leave()
  const server = new URL('.', location.href).href
  const begun = new Session({ ...invitation, server, expects })
  session = begun
  begun.addEventListener('change', () => begun === session && onchange(begun))
  begun.addEventListener('open', () => begun === session && onopen(begun))
  void begun.run()
  update()
  status.focus()
}

/** For the other side. That we go through a relay only is our business, and stays in our own address. */
function linkTo({ room, secret, stun }: SessionOptions): string {
  const fields = { room, ...(secret ? { secret } : {}), ...(stun ? { stun } : {}) }
  return new URL(writeInvitation(fields), location.href).href
}

function retry(): void {
  if (session) begin(session.options, session.options.expects)
}

/** The first secret was wrong, or missing. */
function retryWithSecret(secret: string): void {
  if (!session) return
  const { room, stun, relayOnly, expects } = session.options
  const invitation = { room, secret, ...(stun ? { stun } : {}), ...(relayOnly ? { relayOnly } : {}) }
  if (expects === 'anyone') invite(invitation)
  else begin(invitation, expects)
}

/** Back to the start. */
function reset(): void {
  leave()
  history.replaceState(null, '', location.pathname)
  update()
  byId('start-node').focus()
}

function leave(): void {
  void session?.stop()
  session = undefined
  monitor.stop()
  pairs = []
  chat.clear()
  files.clear()
  path.clear()
  pairsTable.clear()
  byId('talk').hidden = true
}

let watched: RTCPeerConnection | undefined

function onchange(changed: Session): void {
  if (changed.peerConnection && changed.peerConnection !== watched) {
    watched = changed.peerConnection
    path.clear()
    pairs = []
    monitor.watch(watched)
  }
  if (!isConnected(changed)) {
    chat.detach('The connection has ended.')
    files.detach()
  }
  if (!isLive(changed)) monitor.stop()
  update()
}

function onopen({ exchange, peer, options }: Session): void {
  if (!exchange || !peer) return
  byId('talk').hidden = false
  chat.attach(exchange, peer.agent === 'node' ? 'the Node peer' : 'the other browser')
  files.attach(exchange, options.expects === 'node')
  chat.focus()
}

function isConnected({ phase }: Session): boolean {
  return phase === 'open' || phase === 'interrupted'
}

/** Whether the pairs that were seen last may still change. */
function isLive(session: Session): boolean {
  return session.phase === 'connecting' || isConnected(session)
}

function update(): void {
  start.hidden = session !== undefined
  diagnostics.hidden = session === undefined
  status.update(session, session?.options.expects === 'anyone' ? linkTo(session.options) : undefined)
  pairsTable.update(pairs, session !== undefined && isLive(session))
  path.update(session ? pairs.find(({ selected }) => selected) : undefined, session?.phase, session?.peer?.agent)
  diagnostics.refresh()
}
