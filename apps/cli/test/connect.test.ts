import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecret } from '@floe/webrtc'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { build, Floe, run } from './floe.ts'

let server: Floe
let url: string
let folder: string
let photo: string
let sha256: string

beforeAll(async () => {
  await build()
  server = new Floe(['serve', '--port', '0', '--json'])
  url = String((await server.event('listening')).url)
  folder = await mkdtemp(join(tmpdir(), 'floe-cli-test-'))
  photo = join(folder, 'photo.jpg')
  const bytes = randomBytes(1_500_000)
  sha256 = createHash('sha256').update(bytes).digest('hex')
  await writeFile(photo, bytes)
}, 60_000)

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

function connect(room: string, options: string[] = [], input = ''): Floe {
  return new Floe(['connect', room, '--server', url, ...options], input)
}

describe('two terminals', () => {
  test('talk, and pass a file whose checksum is right', async () => {
    const inbox = join(folder, 'inbox')
    await using taker = connect('den', ['--receive', inbox, '--json'], 'grüß dich\n')
    await taker.event('joined')
    await using giver = connect('den', ['--send', photo, '--json'], 'hello\nworld\n')
    expect(await giver.exit).toBe(0)
    expect(await taker.exit).toBe(0)
    const words = (floe: Floe) => floe.lines.filter(({ event }) => event === 'message').map(({ text }) => text)
    expect(words(taker)).toEqual(['hello', 'world'])
    expect(words(giver)).toEqual(['grüß dich'])
    const file = { event: 'file', name: 'photo.jpg', size: 1_500_000, sha256 }
    expect(await giver.event('file')).toEqual({ ...file, direction: 'sent' })
    expect(await taker.event('file')).toEqual({ ...file, direction: 'received', path: join(inbox, 'photo.jpg') })
    expect((await readFile(join(inbox, 'photo.jpg'))).equals(await readFile(photo))).toBe(true)
    const direct = giver.lines.find(({ event, path }) => event === 'path' && path === 'direct')
    expect(direct).toMatchObject({ local: { type: 'host' }, remote: { type: 'host' } })
    expect(await taker.event('closed')).toMatchObject({ reason: 'done' })
  })

  test('for people: words on stdout, all else on stderr', async () => {
    await using first = connect('hall', [], 'hello\n')
    await using second = connect('hall', [], 'hi\n')
    expect(await Promise.all([first.exit, second.exit])).toEqual([0, 0])
    expect([first.stdout, second.stdout]).toEqual([['hi'], ['hello']])
    expect(first.stderr).toMatch(/Connected/)
  })

  test('a key that both ends know, or nobody gets in', async () => {
    const key = createSecret()
    await using first = connect('vault', ['--key', key], 'hello\n')
    await using second = connect('vault', ['--key', key], 'hi\n')
    expect(await Promise.all([first.exit, second.exit])).toEqual([0, 0])
    expect([first.stdout, second.stdout]).toEqual([['hi'], ['hello']])
    const cellar = (own: string) => connect('cellar', ['--key', own, '--wait', '4', '--json'])
    await using third = cellar(key)
    await using fourth = cellar(createSecret())
    const exits = await Promise.all([third.exit, fourth.exit])
    expect(exits).toContain(5)
    // Who has not yet heard the other's hello when it leaves waits for somebody else.
    for (const exit of exits) expect([4, 5]).toContain(exit)
    expect([...third.lines, ...fourth.lines].some(({ event }) => event === 'connected')).toBe(false)
  })

  test('a file that is not wanted is exit code 6', async () => {
    const inbox = join(folder, 'small')
    await using taker = connect('lobby', ['--receive', inbox, '--max-size', '1M', '--json'])
    await using giver = connect('lobby', ['--send', photo, '--json'])
    expect(await giver.exit).toBe(6)
    expect(await giver.event('error')).toMatchObject({
      code: 'ERR_EXCHANGE_REJECTED',
      message: expect.stringMatching(/1\.0 MB/),
    })
    expect(await taker.event('declined')).toMatchObject({ name: 'photo.jpg' })
    expect(await readdir(inbox)).toEqual([])
  })

  test('Ctrl-C hangs up in order: 130 here, a reason there', async () => {
    await using first = connect('attic', ['--json'], 'open')
    await using second = connect('attic', ['--json'], 'open')
    await Promise.all([first.event('connected'), second.event('connected')])
    first.interrupt()
    expect(await first.exit).toBe(130)
    expect(await second.event('closed')).toMatchObject({ reason: 'interrupted' })
    expect(await second.exit).toBe(0)
  })

  test('a third is told that they are busy', async () => {
    await using first = connect('booth', ['--json'], 'open')
    await using second = connect('booth', ['--json'], 'open')
    await Promise.all([first.event('connected'), second.event('connected')])
    await using third = connect('booth', ['--json'])
    expect(await third.exit).toBe(5)
    expect(await third.event('error')).toMatchObject({
      code: 'ERR_CONNECT_PEER_LEFT',
      message: expect.stringMatching(/busy/),
    })
  })
})

describe('the echo peer', () => {
  test('says what it hears', async () => {
    const { code, floe } = await run(['connect', 'echo-words', '--server', url], 'one\ntwo\n')
    expect([code, floe.stdout]).toEqual([0, ['one', 'two']])
  })

  test('reports a file with its checksum and sends it back', async () => {
    const back = join(folder, 'back')
    await using floe = connect('echo-file', ['--send', photo, '--receive', back, '--linger', '2', '--json'])
    expect(await floe.exit).toBe(0)
    expect(await floe.event('message')).toMatchObject({ text: expect.stringContaining(sha256) })
    expect(floe.lines).toContainEqual(expect.objectContaining({ event: 'file', direction: 'received', sha256 }))
    expect((await readFile(join(back, 'photo.jpg'))).equals(await readFile(photo))).toBe(true)
  })

  test('also attends rooms with a secret, and leaves when it is alone', async () => {
    // A server of its own: places of the clients that other tests have killed are held there for a while.
    await using own = new Floe(['serve', '--port', '0', '--json'])
    const address = String((await own.event('listening')).url)
    const rooms = async () => (await (await fetch(`${address}healthz`)).json()).rooms
    await using floe = new Floe(['connect', 'echo-secret', '--server', address, '--secret', 'salt', '--json'], 'psst\n')
    expect(await floe.exit).toBe(0)
    expect(await floe.event('message')).toMatchObject({ text: 'psst' })
    await expect.poll(rooms, { timeout: 5_000 }).toBe(0)
  })
})

describe('what does not come about', () => {
  test('a wrong secret is exit code 3', async () => {
    await using first = connect('vault', ['--secret', 'salt', '--json'])
    await first.event('joined')
    const { code, floe } = await run(['connect', 'vault', '--server', url, '--secret', 'pepper', '--json'])
    expect([code, floe.lines[0]?.code]).toEqual([3, 'ERR_SIGNALING_SECRET'])
    first.interrupt()
    expect(await first.exit).toBe(130)
  })

  test('nobody there in time is exit code 4', async () => {
    const { code, floe } = await run(['connect', 'void', '--server', url, '--wait', '0.1', '--json'])
    expect(code).toBe(4)
    expect(floe.lines.at(-1)).toMatchObject({ event: 'error', code: 'ERR_CLI_NO_PEER', hint: expect.any(String) })
  })

  test('a server may go away while we wait: it stops at once, and we stay as patient as we said', async () => {
    const passing = new Floe(['serve', '--port', '0', '--json'])
    const address = String((await passing.event('listening')).url)
    await using floe = new Floe(['connect', 'void', '--server', address, '--json', '--wait', '1'], 'open')
    await floe.event('joined')
    passing.interrupt()
    expect(await passing.exit).toBe(0)
    expect(await floe.exit).toBe(4) // its patience for a peer is shorter than that for the server
  })
})
