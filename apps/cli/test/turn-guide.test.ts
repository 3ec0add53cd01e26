/** `docs/turn.md` is what people copy: its configuration has to be one. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { claimPort } from '../src/turn/addresses.ts'
import { answersBinding } from '../src/turn/answers.ts'
import { peerRules } from '../src/turn/peer-rules.ts'

let folder: string
let config: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'floe-guide-'))
  const guide = await readFile(new URL('../../../docs/turn.md', import.meta.url), 'utf8')
  config = /```ini\n(.*?)```/s.exec(guide)![1]!
})

afterAll(() => rm(folder, { recursive: true }))

test('the rules for peers are those of floe serve --turn behind a public address', () => {
  const lines = config.split('\n')
  for (const rule of peerRules(['10.0.0.5'], [], true)) {
    // One address may be written without its end.
    expect(lines).toContain(rule.replace('10.0.0.5-10.0.0.5', '10.0.0.5'))
  }
})

test('coturn understands every line, and answers', async () => {
  const port = await claimPort(['127.0.0.1'], 0)
  const own = config
    .replace('listening-port=3478', `listening-port=${port}`)
    .replace('tls-listening-port=443', `tls-listening-port=${await claimPort(['127.0.0.1'], 0)}`)
    .replace('listening-ip=10.0.0.5', 'listening-ip=127.0.0.1')
    .replace('external-ip=203.0.113.7/10.0.0.5', 'external-ip=203.0.113.7/127.0.0.1')
    .replaceAll('/etc/coturn', folder)
  const files = ['-keyout', join(folder, 'privkey.pem'), '-out', join(folder, 'fullchain.pem')]
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=turn', ...files], {
    stdio: 'pipe',
  })
  const file = join(folder, 'turnserver.conf')
  await writeFile(file, `${own}\nuserdb=${folder}/turndb\npidfile=${folder}/pid\n`)
  const coturn = spawn('turnserver', ['-c', file], { stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  for (const stream of [coturn.stdout, coturn.stderr]) stream.on('data', (text) => (log += text))
  try {
    await expect.poll(() => answersBinding('127.0.0.1', port, 100), { timeout: 10_000 }).toBe(true)
    expect(log).not.toMatch(/bad configuration|wrong|unknown|cannot|error/i)
    expect(log.match(/Black listing/g)).toHaveLength(config.match(/denied-peer-ip/g)!.length)
  } finally {
    coturn.kill('SIGKILL')
    await once(coturn, 'exit')
  }
}, 30_000)
