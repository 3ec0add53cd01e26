/** `floe serve --turn` with Debian's coturn, on loopback. */
import { execFile, execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { IceTransport } from '@floe/ice/node'
import { type IceServer, joinRoom } from '@floe/signaling'
import { issueTurnCredentials } from '@floe/signaling/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { build, Floe, run } from './floe.ts'

const OWN_TURN = ['serve', '--port', '0', '--turn', '--turn-port', '0', '--json']
const SECRET = 'north-by-northwest'

let server: Floe
let url: string
let turnUrls: string[]
let folder: string

beforeAll(async () => {
  await build()
  folder = await mkdtemp(join(tmpdir(), 'floe-turn-test-'))
  server = new Floe([...OWN_TURN, '--turn-secret', SECRET])
  url = String((await server.event('listening')).url)
  turnUrls = (await server.event('relaying')).urls as string[]
}, 60_000)

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

function connect(room: string, options: string[] = [], input = '', address = url): Floe {
  return new Floe(['connect', room, '--server', address, '--json', ...options], input)
}

/** Gathers relay candidates only; the first one's address, or the first error. */
async function relayed(iceServers: readonly IceServer[], ca?: Buffer): Promise<string> {
  const tls = ca && { tls: { ca } }
  await using ice = new IceTransport({ iceServers, gatherPolicy: 'relay', includeLoopback: true, ...tls })
  const outcome = new Promise<string>((resolve) => {
    ice.addEventListener('icecandidate', ({ candidate }) => resolve(candidate?.candidate ?? 'no candidate'))
    ice.addEventListener('icecandidateerror', ({ errorCode, errorText }) => resolve(`${errorCode} ${errorText}`))
  })
  ice.gather()
  return await outcome
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** The folder of a coturn, from what it says of its process file. */
function folderOf(floe: Floe): string {
  const line = floe.lines.map((entry) => String(entry.line)).find((text) => text.includes('pid file created'))
  return dirname(line!.split(' ').at(-1)!)
}

describe('floe serve --turn', () => {
  test('listens where floe does, over UDP and TCP', () => {
    const [port] = /:\d+/.exec(turnUrls[0]!.slice('turn:'.length))!
    expect(turnUrls).toEqual([`turn:127.0.0.1${port}?transport=udp`, `turn:127.0.0.1${port}?transport=tcp`])
  })

  test('two terminals pass a file through it, and only through it', async () => {
    const file = join(folder, 'film.mp4')
    const bytes = randomBytes(5_000_000)
    await writeFile(file, bytes)
    const inbox = join(folder, 'inbox')
    await using taker = connect('den', ['--relay-only', '--receive', inbox])
    await using giver = connect('den', ['--relay-only', '--send', file])
    expect([await giver.exit, await taker.exit]).toEqual([0, 0])
    const ends = { local: { type: 'relay' }, remote: { type: 'relay' } }
    expect(directPath(giver)).toMatchObject(ends)
    expect(directPath(taker)).toMatchObject(ends)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    expect(await taker.event('file')).toMatchObject({ direction: 'received', sha256 })
    expect((await readFile(join(inbox, 'film.mp4'))).equals(bytes)).toBe(true)
  })

  test('the echo peer is reached through it', async () => {
    await using floe = connect('echo-relay', ['--relay-only'], 'hello\n')
    expect(await floe.exit).toBe(0)
    expect(await floe.event('message')).toMatchObject({ text: 'hello' })
    expect(directPath(floe)).toMatchObject({ local: { type: 'relay' } })
  })

  test('ends with floe, and takes its folder along', async () => {
    await using floe = new Floe(OWN_TURN)
    const { pid } = await floe.event('turn-started')
    await floe.event('listening')
    const own = folderOf(floe)
    expect([isAlive(Number(pid)), existsSync(own), existsSync(join(own, 'turnserver.conf'))]).toEqual([
      true,
      true,
      false,
    ])
    floe.interrupt()
    expect(await floe.exit).toBe(0)
    expect([isAlive(Number(pid)), existsSync(own)]).toEqual([false, false])
  })

  test('ends with floe also when that is killed', async () => {
    await using floe = new Floe(OWN_TURN)
    const { pid } = await floe.event('turn-started')
    const own = folderOf(floe)
    floe.kill()
    await expect.poll(() => isAlive(Number(pid)), { timeout: 5_000 }).toBe(false)
    await expect.poll(() => existsSync(own), { timeout: 5_000 }).toBe(false)
  })

  test('comes back when it is killed, on the same port and with the same secret', async () => {
    await using floe = new Floe([...OWN_TURN, '--turn-secret', SECRET])
    const { pid } = await floe.event('turn-started')
    const { urls } = await floe.event('relaying')
    const servers = [issueTurnCredentials({ secret: SECRET, urls: urls as string[] })]
    process.kill(Number(pid), 'SIGKILL')
    expect(await floe.event('turn-ended')).toMatchObject({ signal: 'SIGKILL', restartIn: 500 })
    const again = await floe.event('turn-started', 2)
    expect(again.pid).not.toBe(pid)
    expect(await relayed(servers)).toMatch(/ 127\.0\.0\.1 \d+ typ relay/)
    process.kill(Number(again.pid), 'SIGKILL')
    expect(await floe.event('turn-ended', 2)).toMatchObject({ restartIn: 1_000 })
    floe.interrupt()
    expect(await floe.exit).toBe(0) // while it waits to be started
  })

  test('peers get new credentials before theirs expire, and expired ones open nothing', async () => {
    await using floe = new Floe([...OWN_TURN, '--turn-lifetime', '3'])
    const address = String((await floe.event('listening')).url)
    await using room = await joinRoom(address, { room: 'den' })
    const first = room.iceServers
    const expiry = Number(first[0]!.username!.split(':')[0]) * 1000
    expect(first[0]!.username).toBe(`${expiry / 1000}:${room.id}`)
    expect(await relayed(first)).toMatch(/typ relay/)
    await new Promise((resolve) => room.addEventListener('iceserverschange', resolve, { once: true }))
    expect(Date.now()).toBeLessThan(expiry)
    await expect.poll(() => relayed(first), { timeout: 5_000, interval: 300 }).toMatch(/^401 /)
    expect(await relayed(room.iceServers)).toMatch(/typ relay/)
  })
})

describe('floe serve --turn with a certificate', () => {
  const withTls = (name: string) => ['--turn-cert', file(name, 'pem'), '--turn-key', file(name, 'key')]
  const file = (name: string, ending: string) => join(folder, `${name}.${ending}`)

  beforeAll(() => {
    for (const name of ['good', 'other']) {
      const alternatives = name === 'good' ? 'IP:127.0.0.1' : 'DNS:turn.floe.test'
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file(name, 'key')]
      const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${alternatives}`]
      const args = ['req', '-x509', ...key, '-out', file(name, 'pem'), '-days', '2', ...subject]
      execFileSync('openssl', args, { stdio: 'pipe' })
    }
  })

  test('speaks TLS too, and offers it', async () => {
    const options = [...withTls('good'), '--turn-tls-port', '0', '--turn-secret', SECRET]
    await using floe = new Floe([...OWN_TURN, ...options])
    const { urls } = await floe.event('relaying')
    expect(urls).toEqual([
      expect.stringMatching(/^turn:127\.0\.0\.1:\d+\?transport=udp$/),
      expect.stringMatching(/^turn:127\.0\.0\.1:\d+\?transport=tcp$/),
      expect.stringMatching(/^turns:127\.0\.0\.1:\d+\?transport=tcp$/),
    ])
    const servers = [issueTurnCredentials({ secret: SECRET, urls: (urls as string[]).slice(2) })]
    const ca = await readFile(file('good', 'pem'))
    await expect.poll(() => relayed(servers, ca), { timeout: 5_000 }).toMatch(/ 127\.0\.0\.1 \d+ typ relay/)
    expect(await relayed(servers)).toMatch(/^701 .*certificate/)
  })

  test.each<[string, () => string[], RegExp]>([
    ['is for another name', () => withTls('other'), /is not for 127\.0\.0\.1/],
    ['has another key', () => [...withTls('good').slice(0, 3), file('other', 'key')], /is not the key of/],
    ['is not there', () => withTls('nobody'), /--turn-cert: .* cannot be used: ENOENT/],
  ])('one that %s is refused before anything is started', async (_, options, complaint) => {
    const { code, floe } = await run([...OWN_TURN, ...options()])
    expect(floe.lines).toEqual([
      expect.objectContaining({ code: 'ERR_CLI_TURN', message: expect.stringMatching(complaint) }),
    ])
    expect(code).toBe(7)
  })
})

describe('a coturn that runs elsewhere', () => {
  test('is used by the rooms of a floe that knows its secret', async () => {
    const urls = turnUrls.flatMap((turnUrl) => ['--turn-server', turnUrl])
    await using other = new Floe(['serve', '--port', '0', '--json', ...urls], '', { FLOE_TURN_SECRET: SECRET })
    const address = String((await other.event('listening')).url)
    expect(await other.event('relaying')).toMatchObject({ urls: turnUrls })
    await using floe = connect('echo-fleet', ['--relay-only'], 'hello\n', address)
    expect(await floe.exit).toBe(0)
    expect(await floe.event('message')).toMatchObject({ text: 'hello' })
  })

  test('is used by one end alone that has credentials of its own', async () => {
    await using plain = new Floe(['serve', '--port', '0', '--json'])
    const address = String((await plain.event('listening')).url)
    const { username, credential } = issueTurnCredentials({ secret: SECRET, urls: turnUrls })
    const named = ['--turn-server', turnUrls[1]!, '--turn-username', username, '--turn-credential', credential]
    await using floe = connect('echo-own', ['--relay-only', ...named], 'hello\n', address)
    expect(await floe.exit).toBe(0)
    expect(directPath(floe)).toMatchObject({ local: { type: 'relay', relayProtocol: 'tcp' } })
  })

  test('that refuses the credentials is named, with its reason', async () => {
    const named = ['--turn-server', turnUrls[0]!, '--turn-username', '1:me', '--turn-credential', 'expired']
    await using floe = connect('echo-refused', named, 'hello\n')
    expect(await floe.event('server-error')).toMatchObject({ url: turnUrls[0], errorCode: 401 })
    expect(await floe.exit).toBe(0) // there is a path without it
  })
})

describe('no TURN server is exit code 7', () => {
  const code = 'ERR_CLI_TURN'

  test('when coturn is not installed: says how to install it', async () => {
    const { code: exitCode, floe } = await run(OWN_TURN, '', { PATH: folder })
    const [error] = floe.lines
    expect(error).toMatchObject({
      event: 'error',
      code: 'ERR_CLI_TURN_MISSING',
      message: expect.stringContaining('turnserver'),
    })
    expect(error!.hint).toMatch(/apt install coturn[\s\S]*dnf install coturn[\s\S]*brew install coturn/)
    expect([exitCode, floe.lines.length]).toEqual([7, 1])
  })

  test('when its port is taken', async () => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const args = ['serve', '--port', '0', '--turn', '--turn-port', String(socket.address().port), '--json']
    const { code: exitCode, floe } = await run(args)
    socket.close()
    expect(floe.lines.map(({ message }) => message)).toEqual([expect.stringContaining('taken')])
    expect(floe.lines[0]).toMatchObject({ code, hint: expect.stringContaining('--turn-port') })
    expect(exitCode).toBe(7)
  })

  test('when it does not come up: shows what it said', async () => {
    const program = join(folder, 'turnserver')
    await writeFile(program, '#!/bin/sh\necho "cannot open the ice" >&2\nexit 3\n', { mode: 0o755 })
    const { code: exitCode, floe } = await run(OWN_TURN, '', { PATH: folder })
    const error = floe.lines.at(-1)
    expect(error).toMatchObject({ event: 'error', code, hint: expect.stringContaining('cannot open the ice') })
    expect(exitCode).toBe(7)
  })

  test('when a relay is demanded and nobody has one: at once', async () => {
    await using plain = new Floe(['serve', '--port', '0', '--json'])
    const address = String((await plain.event('listening')).url)
    await using floe = connect('den', ['--relay-only'], '', address)
    expect(await floe.exit).toBe(7)
    expect(floe.lines).toEqual([
      expect.objectContaining({ code: 'ERR_CLI_NO_RELAY', hint: expect.stringContaining('floe serve --turn') }),
    ])
  })
})

describe.skipIf(!process.env.FLOE_TEST_NETNS)('open to the network', () => {
  test('relays within it, and neither into other networks nor into its own machine', async () => {
    await using floe = new Floe([...OWN_TURN, '--host', '0.0.0.0', '--turn-secret', SECRET])
    const address = String((await floe.event('listening')).url)
    const { urls } = await floe.event('relaying')
    const [, ip, port] = /^turn:([\d.]+):(\d+)/.exec((urls as string[])[0]!)!
    await using first = connect('den', ['--relay-only'], 'hello\n', address)
    await using second = connect('den', ['--relay-only'], 'hello\n', address)
    expect([await first.exit, await second.exit]).toEqual([0, 0])
    for (const stranger of ['127.0.0.1', '192.168.99.1', '169.254.169.254']) {
      expect(await askRelay(ip!, port!, stranger), stranger).toContain('403 (Forbidden IP)')
    }
  })

  /** What coturn's own client says when it wants to be relayed to `peer`. */
  function askRelay(ip: string, port: string, peer: string): Promise<string> {
    const args = ['-u', 'me', '-W', SECRET, '-p', port, '-e', peer, '-n', '1', '-c', ip]
    return new Promise((resolve) => {
      execFile('turnutils_uclient', args, { timeout: 5_000 }, (_error, stdout, stderr) => resolve(stdout + stderr))
    })
  }
})

/** Over which messages went once ICE had found it. */
function directPath(floe: Floe) {
  return floe.lines.find(({ event, path }) => event === 'path' && path === 'direct')
}
