/** WebSockets that are read in turns: no matter how much somebody sends, the others are served in between. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws'
import { TokenBucket } from './token-bucket.ts'
import type { Flow, Turns } from './turns.ts'

/** Bytes that a turn reads: a few ordinary messages, some tenths of a millisecond of work. */
const TURN = 1_024

/** What a turn costs beside its bytes: a handful of bytes alone is work as well. */
const TURN_COST = 64

/**
 * Bytes per second, and at once, up to which a connection never waits: a peer that talks to a few others. Who wants more than
 * that while others wait as well gets it in turns. A new connection begins with nothing, as a flood would be many new ones.
 */
const QUIET = { perSecond: 6_144, burst: 6_144 } as const

/**
 * When more than `connections` wait, the ones that have had so many turns in a row, and still more than so many bytes waiting,
 * have to go: in such a crowd whoever has an ordinary burst to send comes through, and who floods holds what is read of it in
 * our memory.
 */
const CROWD = { connections: 256, turns: 8, bytes: 16_384 } as const

/** WebSocket's code for it: Try Again Later. */
const TRY_AGAIN_LATER = 1013

/** Milliseconds that one which is busy, and was told to go, has for taking its goodbye. It is not read any more. */
const LINGER = 1_000

/** For Engine.IO's `wsEngine`. `onflood`: a connection from there was ended because it kept others waiting. */
export function fairWebSockets(
  turns: Turns,
  addressOf: (request: IncomingMessage) => string,
  onflood: (address: string) => void,
): new (
  options: ServerOptions,
) => WebSocketServer {
  return class extends WebSocketServer {
    override handleUpgrade(
      request: IncomingMessage,
      socket: Duplex,
      head: Buffer,
      callback: (client: WebSocket, request: IncomingMessage) => void,
    ): void {
      super.handleUpgrade(request, socket, head, (webSocket, admitted) => {
        new Reader(turns, addressOf(request), socket, webSocket, onflood)
        callback(webSocket, admitted)
      })
    }
  }
}

/**
 * Takes over when the socket is read. ws listens for 'data', as before; with a listener for 'readable' beside it, Node no
 * longer lets the data flow, but hands out what is `read()`, and itself stops reading from the kernel when that is not done.
 */
class Reader implements Flow {
  readonly address: string
  readonly #turns: Turns
  readonly #socket: Duplex
  readonly #webSocket: WebSocket
  readonly #credit: TokenBucket
  readonly #onflood: (address: string) => void
  #waits = false
  #busy = false
  /** Turns in a row after which there was still more. */
  #turnsInRow = 0

  constructor(turns: Turns, address: string, socket: Duplex, webSocket: WebSocket, onflood: (address: string) => void) {
    const now = performance.now()
    this.address = address
    this.#turns = turns
    this.#socket = socket
    this.#webSocket = webSocket
    this.#onflood = onflood
    this.#credit = new TokenBucket(QUIET.perSecond, QUIET.burst, now)
    this.#credit.take(now, QUIET.burst)
    socket.on('readable', () => this.#waits || this.#ask())
    socket.prependListener('close', () => this.#onclose())
  }

  serve(): boolean {
    const socket = this.#socket
    this.#waits = false
    if (socket.destroyed || this.#isSentAway()) return false
    if (socket.writableNeedDrain) {
      // Who does not take what it is told need not be heard: answers would pile up.
      this.#waits = true
      socket.once('drain', () => this.#ask())
      return false
    }
    const bytes = Math.min(TURN, socket.readableLength)
    this.#credit.take(performance.now(), bytes + TURN_COST)
    socket.read(bytes)
    if (socket.readableLength === 0) socket.read(0) // Node tells ws of the end only when asked for more
    this.#waits = this.#busy = socket.readableLength > 0
    this.#turnsInRow = this.#busy ? this.#turnsInRow + 1 : 0
    if (this.#isTooMuch()) {
      this.#webSocket.close(TRY_AGAIN_LATER)
      this.#onflood(this.address)
    }
    return this.#waits
  }

  #isTooMuch(): boolean {
    if (this.#turnsInRow < CROWD.turns || this.#turns.waiting < CROWD.connections) return false
    return this.#socket.readableLength > CROWD.bytes && this.#webSocket.readyState === this.#webSocket.OPEN
  }

  #ask(): void {
    this.#waits = true
    const quiet = this.#credit.has(performance.now())
    this.#busy ||= !quiet
    this.#turns.ask(this, quiet)
  }

  /** Who floods until the end does not get the time that reading its goodbye would take: ws would wait 30 s for it. */
  #isSentAway(): boolean {
    if (!this.#busy || this.#webSocket.readyState === this.#webSocket.OPEN) return false
    setTimeout(() => this.#socket.destroy(), LINGER).unref()
    this.#waits = true // for ever
    return true
  }

  /** What was not read before the connection broke is nothing to ws either, which would take it now at once. */
  #onclose(): void {
    if (!this.#busy) return
    this.#socket.removeAllListeners('data')
    while (this.#socket.read() !== null) {}
  }
}
