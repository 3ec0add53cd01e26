import { createInterface } from 'node:readline'
import type { Output } from './output.ts'

/**
 * The lines of stdin until it ends or `ended` aborts: with a prompt and line editing when people type them.
 * Reads no faster than its lines are taken.
 */
export async function* readLines(output: Output, ended: AbortSignal): AsyncGenerator<string, void, void> {
  if (ended.aborted) return
  const interactive = process.stdin.isTTY === true && !output.json
  const lines = createInterface({
    input: process.stdin,
    ...(interactive ? { output: process.stderr, prompt: '> ' } : {}),
    terminal: interactive,
    crlfDelay: Number.POSITIVE_INFINITY,
    signal: ended,
  })
  // readline takes Ctrl-C for itself while a line is edited.
  lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  if (interactive) {
    output.prompt = lines
    lines.prompt()
  }
  try {
    for await (const line of lines) {
      yield line
      if (interactive) lines.prompt()
    }
  } finally {
    output.prompt = undefined
    lines.close()
    process.stdin.pause() // else a terminal or an open pipe would keep the process alive
  }
}
