import type { Interface } from 'node:readline'
import { describeFailure, type ExitCode } from './failure.ts'

/** What `--json` prints: one object per line, `event` first. */
export type Fields = Record<string, unknown>

/** What would move the cursor, change colours or reverse the line on a terminal, line breaks and tabs excepted. */
const UNPRINTABLE = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

/** Text from a stranger, made safe to show on a terminal. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => (character === '\n' || character === '\t' ? character : '\ufffd'))
}

/** Bytes for people: `12.3 MB`. */
export function formatSize(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(bytes, 1)) / 3)))
  return step === 0 ? `${Math.round(bytes)} bytes` : `${(bytes / 1000 ** step).toFixed(1)} ${units[step]}`
}

/**
 * Where a command speaks. For people: results on stdout, news on stderr. For machines (`--json`): everything on stdout,
 * one JSON object per line.
 */
export class Output {
  readonly json: boolean
  /** The line being edited, to be drawn again below whatever is printed. */
  prompt: Interface | undefined
  #progressShown = false

  constructor(json: boolean) {
    this.json = json
  }

  /** Something happened. `human` is what people are told of it; nothing when absent. */
  event(event: string, fields: Fields, human?: string): void {
    if (this.json) process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`)
    else if (human !== undefined) this.#print(process.stderr, human)
  }

  /** A result, such as the address of the server. */
  result(event: string, fields: Fields, human: string): void {
    if (this.json) this.event(event, fields)
    else this.#print(process.stdout, human)
  }

  /** What the peer said: to stdout as it is, or fit for a terminal. */
  message(text: string): void {
    this.result('message', { text }, process.stdout.isTTY ? `< ${printable(text)}` : text)
  }

  /** Overwrites itself on a terminal; only machines get it elsewhere. */
  progress(fields: Fields, human: string): void {
    if (this.json) this.event('progress', fields)
    else if (process.stderr.isTTY) {
      process.stderr.write(`\r\x1b[K${human}`)
      this.#progressShown = true
    }
  }

  /** Reports an error; returns the exit code that goes with it. */
  fail(error: unknown): ExitCode {
    const { code, message, hint, exitCode } = describeFailure(error)
    const human = [`floe: ${printable(message)}`, ...(hint === undefined ? [] : [`  ${hint}`])].join('\n')
    this.event('error', { code, message, ...(hint === undefined ? {} : { hint }) }, human)
    return exitCode
  }

  #print(stream: NodeJS.WriteStream, text: string): void {
    if (this.#progressShown || this.prompt !== undefined) process.stderr.write('\r\x1b[K')
    this.#progressShown = false
    stream.write(`${text}\n`)
    this.prompt?.prompt(true)
  }
}
