import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Exchange, type IncomingFile } from '@floe/exchange'
import { joinRoom, type Peer, type Room } from '@floe/signaling'
import { issueRoomToken } from '@floe/signaling/server'
import { type Connection, connect } from '@floe/webrtc'
import { describeFailure } from './failure.ts'
import { fileSource, save } from './files.ts'
import { connectionOptions } from './ice-servers.ts'
import { formatSize, type Output, printable } from './output.ts'

/** Rooms in which the echo peer answers. */
export const ECHO_PREFIX = 'echo-'

/** Bytes of files that wait on disk for their way back, over all sessions. */
const STORED_BYTES = 2e9

/** Sessions at once: each has its own ICE agent, sockets and keys. */
const SESSIONS = 64

/** Words on their way back to one peer. One that talks on without listening is hung up on. */
const ECHOES_PENDING = 256

/** The servers of the room, and any path. */
const LIKE_EVERYBODY = { iceServers: undefined, relayOnly: false } as const

export interface EchoPeerOptions {
  /** Of the signaling server; asked for when the first room opens. */
  readonly server: () => string
  /** Whether anybody is in a room. */
  readonly isOpen: (room: string) => boolean
  /** What it signs tokens with, where the server asks for them. */
  readonly tokenSecret: string | undefined
  readonly output: Output
}

/** A peer in every echo room: says what it hears, and sends files back with their checksum. */
export class EchoPeer implements AsyncDisposable {
  readonly #options: EchoPeerOptions
  readonly #rooms = new Set<Promise<void>>()
  readonly #closing = new AbortController()
  readonly #connections = new Set<Connection>()
  #sessions = 0
  #stored = 0

  constructor(options: EchoPeerOptions) {
    this.#options = options
  }

  /** Joins the room when it is one of ours; leaves it with the last other peer. */
  attend(name: string, secret: string | undefined): void {
    if (!name.startsWith(ECHO_PREFIX)) return
    const attendance = this.#attend(name, secret)
      .catch((error) => {
        if (!this.#closing.signal.aborted) this.#options.output.fail(error)
      })
      .finally(() => this.#rooms.delete(attendance))
    this.#rooms.add(attendance)
  }

  /** Hangs up everywhere. */
  async close(): Promise<void> {
    await this.#hangUp() // while we are still in the rooms: the goodbye goes through them
    this.#closing.abort()
    await this.#hangUp() // what has opened meanwhile
    await Promise.all(this.#rooms)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #hangUp(): Promise<void> {
    await Promise.all([...this.#connections].map((connection) => connection.close('the echo peer stops')))
  }

  async #attend(name: string, secret: string | undefined): Promise<void> {
    const { server, isOpen, tokenSecret: tokens } = this.#options
    const { signal } = this.#closing
    // Somebody may come in while we go out: the room is still open then, and nobody calls us again.
    while (isOpen(name) && !signal.aborted) {
      const room = await joinRoom(server(), {
        room: name,
        agent: 'node',
        signal,
        ...(secret === undefined ? {} : { secret }),
        ...(tokens === undefined ? {} : { token: () => issueRoomToken({ secret: tokens, room: name, user: 'echo' }) }),
      })
      await this.#receive(room)
      await room.leave()
    }
  }

  /** Serves everybody who is or comes, until nobody is left. */
  #receive(room: Room): Promise<void> {
    return new Promise((resolve) => {
      void room.closed.then(() => resolve())
      room.onpeer = (peer) => {
        const gone = new AbortController()
        peer.onleave = (reason) => {
          gone.abort(reason)
          if (room.peers.size === 0) resolve()
        }
        void this.#talk(room.name, peer, gone.signal)
      }
      if (room.peers.size === 0) resolve()
    })
  }

  async #talk(room: string, peer: Peer, gone: AbortSignal): Promise<void> {
    const { output } = this.#options
    if (this.#sessions >= SESSIONS) {
      peer.send({ bye: `the echo peer has its ${SESSIONS} sessions already: try again later` })
      return
    }
    this.#sessions += 1
    const where = { room, peer: peer.id }
    const signal = AbortSignal.any([gone, this.#closing.signal])
    try {
      const connection = await connect(peer, { ...connectionOptions(peer, LIKE_EVERYBODY), signal })
      this.#connections.add(connection)
      // Not when it vanished: that is the connection to the server, ours to the peer may well live.
      gone.addEventListener('abort', () => {
        if (gone.reason === 'left') void connection.close('the peer has left the room')
      })
      output.event('connected', where, `${room}: connected with a ${peer.agent} peer`)
      this.#echo(connection, room)
      const reason = await connection.closed
      this.#connections.delete(connection)
      output.event('closed', { ...where, reason }, `${room}: closed, ${printable(reason)}`)
    } catch (error) {
      const { code, message } = describeFailure(error)
      if (!signal.aborted) output.event('failed', { ...where, code, message }, `${room}: ${printable(message)}`)
    } finally {
      this.#sessions -= 1
    }
  }

  #echo(connection: Connection, room: string): void {
    const exchange = new Exchange(connection)
    let pending = 0
    exchange.onchat = (text) => {
      if (++pending > ECHOES_PENDING) void connection.close('too many words at once for an echo')
      void exchange
        .say(text)
        .catch(() => {}) // closed: its end is reported by #talk
        .finally(() => pending--)
    }
    exchange.onfile = (incoming) => void this.#sendBack(exchange, incoming, room)
  }

  async #sendBack(exchange: Exchange, incoming: IncomingFile, room: string): Promise<void> {
    const { name, size, type } = incoming
    const { output } = this.#options
    if (this.#stored + size > STORED_BYTES) {
      incoming.reject(`the echo peer has room for ${formatSize(STORED_BYTES - this.#stored)} now`)
      return
    }
    this.#stored += size
    let folder: string | undefined
    try {
      folder = await mkdtemp(join(tmpdir(), 'floe-echo-'))
      const { path, sha256 } = await save(incoming, folder)
      output.event(
        'file',
        { room, name, size, sha256 },
        `${room}: ${printable(name)}, ${formatSize(size)}, SHA-256 ${sha256}`,
      )
      await exchange.say(`Received ${name}: ${size} bytes, SHA-256 ${sha256}. It comes back to you now.`)
      await exchange.sendFile(fileSource(path, name, size, type))
    } catch (error) {
      const { code, message } = describeFailure(error)
      output.event('failed', { room, name, code, message }, `${room}: ${printable(name)}: ${printable(message)}`)
    } finally {
      this.#stored -= size
      if (folder !== undefined) await rm(folder, { recursive: true, force: true })
    }
  }
}
