/** The command line of the lab, as it is typed: `scripts/natlab.mjs` in a process of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { whyNot } from './namespaces.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const CAPTURES = join(ROOT, 'test-results', 'natlab-pcap')

describe.skipIf(whyNot())('npm run natlab', () => {
  test.concurrent.each([
    { name: 'no command', args: [], complaint: 'npm run natlab -- matrix' },
    { name: 'a place that does not exist', args: ['up', 'cone'], complaint: 'there is no place cone' },
    { name: 'peers that do not exist', args: ['matrix', '--peers', 'node-opera'], complaint: 'are no two peers' },
    { name: 'an option that does not exist', args: ['matrix', '--fast'], complaint: '--fast' },
    { name: 'an option where none is known', args: ['--fast'], complaint: 'npm run natlab -- matrix' },
  ])('$name: exit code 2, and what to do', async ({ args, complaint }) => {
    const { ended, text } = run(args)
    expect(await ended).toBe(2)
    expect(text()).toContain(complaint)
  })

  test('up: hosts that can be entered, captures of their wires, and an end by Ctrl-C', async () => {
    const began = Date.now()
    const { child, ended, text, says } = run(['up', 'easy', 'hard', '--pcap'])
    try {
      await says('Ctrl-C ends it.')
      expect(text()).toMatch(/^a {2}eim-apdf: /m)
      expect(text()).toMatch(/^b {2}apdm-random: /m)
      const enter = /^ {3}(\S.* bash)$/m.exec(text())![1]!
      const shell = spawn('bash', ['-c', enter], { stdio: ['pipe', 'pipe', 'inherit'] })
      shell.stdin.end('exec 3<>/dev/tcp/192.0.2.1/3478 && echo reached\n')
      let said = ''
      shell.stdout.on('data', (bytes) => (said += bytes))
      await once(shell, 'close')
      expect(said).toBe('reached\n')
    } finally {
      child.kill('SIGINT')
    }
    expect(await ended).toBe(0)
    for (const name of ['a', 'b', 'servers'])
      expect(statSync(join(CAPTURES, `${name}.pcap`)).mtimeMs).toBeGreaterThanOrEqual(began)
  })
})

function run(args: readonly string[]) {
  const child = spawn(process.execPath, [join(ROOT, 'scripts', 'natlab.mjs'), ...args], { cwd: ROOT })
  let text = ''
  const told: (() => void)[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes) => {
      text += bytes
      for (const look of told) look()
    })
  }
  const ended = once(child, 'close').then(([code]) => code as number | null)
  const says = (words: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => text.includes(words) && resolve()
      told.push(look)
      look()
      void ended.then(() => reject(new Error(`it ended without '${words}': ${text}`)))
    })
  return { child, ended, text: () => text, says }
}
