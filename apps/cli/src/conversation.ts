import { setTimeout as delay } from 'node:timers/promises'
import { Exchange, ExchangeErrorEvent, type FileSource, type IncomingFile } from '@floe/exchange'
import type { Connection } from '@floe/webrtc'
import type { ConnectOptions } from './connect-options.ts'
import { EXIT, type ExitCode } from './failure.ts'
import { openSource, save } from './files.ts'
import { readLines } from './input.ts'
import { formatSize, type Output, printable } from './output.ts'
import { TransferReport } from './transfer-report.ts'

/** What goes over one connection: lines of stdin out, words of the peer in, files both ways. */
export class Conversation {
  readonly #exchange: Exchange
  readonly #options: ConnectOptions
  readonly #output: Output
  /** Aborts when the connection has ended. */
  readonly #ended = new AbortController()
  readonly #transfers = new Set<Promise<void>>()
  #exitCode: ExitCode = EXIT.done
  /** When something last came in or was finished, on performance.now()'s clock. */
  #lastSign = 0

  constructor(connection: Connection, options: ConnectOptions, output: Output) {
    this.#options = options
    this.#output = output
    this.#exchange = new Exchange(connection)
    this.#exchange.onchat = (text) => {
      this.#lastSign = performance.now()
      output.message(text)
    }
    this.#exchange.onfile = (incoming) => this.#track(this.#receive(incoming))
    this.#exchange.addEventListener('error', (event) => {
      if (event instanceof ExchangeErrorEvent) output.fail(event.error)
    })
    void connection.closed.then(() => this.#ended.abort())
  }

  /**
   * Resolves with the exit code when all of ours is delivered and the peer has fallen silent, or, when that is left to
   * it, has hung up. The end of the connection ends it too.
   */
  async run(): Promise<ExitCode> {
    const ended = this.#ended.signal
    this.#track(this.#sendAll(this.#options.send))
    await this.#speak(ended)
    await this.#settled()
    if (this.#options.linger === undefined) await aborted(ended)
    else await this.#silence(this.#options.linger, ended)
    await this.#settled()
    return this.#exitCode
  }

  /** Says the lines of stdin, to its end or that of the connection. */
  async #speak(ended: AbortSignal): Promise<void> {
    for await (const line of readLines(this.#output, ended)) {
      try {
        const isCommand = process.stdin.isTTY && /^\/(?!\/)/.test(line)
        if (isCommand && line.trim() === '/quit') return
        if (isCommand) await this.#command(line)
        else await this.#exchange.say(process.stdin.isTTY ? line.replace(/^\/\//, '/') : line)
      } catch (error) {
        // Words that could not be said: the connection is gone, or a line is too long.
        this.#output.fail(error)
        this.#exitCode = ended.aborted ? EXIT.connection : EXIT.failure
      }
    }
  }

  async #command(line: string): Promise<void> {
    const [, path] = /^\/send\s+(.+?)\s*$/.exec(line) ?? []
    if (path === undefined) this.#output.event('help', {}, "Commands: /send FILE and /quit; '//…' says '/…'.")
    else this.#track(this.#sendAll([await openSource(path)]))
  }

  /** One after the other: side by side they would only share the same path. */
  async #sendAll(sources: readonly FileSource[]): Promise<void> {
    for (const source of sources) {
      const report = new TransferReport(this.#output, 'sending', source)
      try {
        const { sha256 } = await this.#exchange.sendFile(source, { onprogress: (sent) => report.update(sent) })
        report.done(sha256)
      } catch (error) {
        this.#exitCode = this.#output.fail(error)
      }
    }
  }

  async #receive(incoming: IncomingFile): Promise<void> {
    const { receive: folder, maxSize } = this.#options
    const { name, size } = incoming
    const refusal =
      folder === undefined
        ? 'this peer takes no files (floe connect --receive DIR does)'
        : size > maxSize
          ? `larger than the ${formatSize(maxSize)} that this peer takes (--max-size)`
          : undefined
    if (folder === undefined || refusal !== undefined) {
      incoming.reject(refusal ?? '')
      this.#output.event('declined', { name, size }, `Declined ${printable(name)}, ${formatSize(size)}: ${refusal}`)
      return
    }
    const report = new TransferReport(this.#output, 'receiving', incoming)
    try {
      const { path, sha256 } = await save(incoming, folder, (received) => report.update(received))
      report.done(sha256, path)
    } catch (error) {
      this.#exitCode = this.#output.fail(error)
    }
  }

  #track(transfer: Promise<void>): void {
    const tracked = transfer.finally(() => {
      this.#lastSign = performance.now()
      this.#transfers.delete(tracked)
    })
    this.#transfers.add(tracked)
  }

  /** No transfer is under way. */
  async #settled(): Promise<void> {
    while (this.#transfers.size > 0) await Promise.all(this.#transfers)
  }

  /** Nothing has happened for `linger` ms. */
  async #silence(linger: number, ended: AbortSignal): Promise<void> {
    this.#lastSign = performance.now()
    while (!ended.aborted) {
      const left = this.#lastSign + linger - performance.now()
      if (left <= 0 && this.#transfers.size === 0) return
      await delay(Math.max(left, 10), undefined, { signal: ended }).catch(() => {})
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
