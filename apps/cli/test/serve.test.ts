import { discoverBehavior } from '@floe/nat/node'
import { joinRoom } from '@floe/signaling'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { build, Floe, run } from './floe.ts'

let server: Floe
let url: string

beforeAll(async () => {
  await build()
  server = new Floe(['serve', '--port', '0', '--json'])
  url = String((await server.event('listening')).url)
}, 60_000)

afterAll(() => server[Symbol.asyncDispose]())

describe('floe serve', () => {
  test('listens on this machine only and says where', () => {
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/)
  })

  test('prints one line with the address for people', async () => {
    await using floe = new Floe(['serve', '--port', '0'])
    await expect
      .poll(() => floe.stdout, { timeout: 10_000 })
      .toEqual([expect.stringMatching(/http:\/\/127\.0\.0\.1:\d+\//)])
  })

  test('serves the demo page, or says how to build it; never a file outside of it', async () => {
    const response = await fetch(url)
    expect([200, 503]).toContain(response.status)
    expect(await response.text()).toMatch(response.ok ? /<!doctype html>/i : /npm/)
    for (const path of ['..%2f..%2fcli/package.json', '%2e%2e/package.json', '%00', '%ff', '//etc/passwd']) {
      const stray = await fetch(url + path)
      expect(stray.ok, path).toBe(false)
      await stray.body?.cancel()
    }
  })

  test('reports its health', async () => {
    expect(await (await fetch(`${url}healthz`)).json()).toMatchObject({ status: 'ok', rooms: 0, peers: 0 })
  })

  test('names the option when the port is taken', async () => {
    const { port } = new URL(url)
    const { code, floe } = await run(['serve', '--port', port])
    expect(floe.stderr).toMatch(new RegExp(`Port ${port} .*taken[\\s\\S]*--port`))
    expect(code).toBe(3)
  })

  test('refuses an address that is not its own', async () => {
    const { code, floe } = await run(['serve', '--host', '192.0.2.1', '--port', '0'])
    expect(floe.stderr).toMatch(/192\.0\.2\.1[\s\S]*--host/)
    expect(code).toBe(3)
  })

  test('warns when the network can reach it', async () => {
    await using floe = new Floe(['serve', '--host', '0.0.0.0', '--port', '0'])
    await expect.poll(() => floe.stderr, { timeout: 10_000 }).toMatch(/--secret/)
  })

  test('its STUN server tells those in its rooms, and answers; not on loopback unless asked', async () => {
    await using floe = new Floe(['serve', '--port', '0', '--stun-port', '0', '--json'])
    const { urls, rfc5780 } = await floe.event('stun')
    expect(urls).toEqual([expect.stringMatching(/^stun:127\.0\.0\.1:\d+$/)])
    expect(rfc5780).toBe(false)
    const room = await joinRoom(String((await floe.event('listening')).url), { room: 'den' })
    expect(room.iceServers).toEqual([{ urls }])
    await room.leave()
    const { ipv4 } = await discoverBehavior({ servers: urls as string[] })
    expect(ipv4?.mapped).toEqual(ipv4?.local)
    expect(server.lines.map(({ event }) => event)).not.toContain('stun')
  })

  test.each([
    [['--stun-port', 'x'], /--stun-port/],
    [['--stun-host', 'a b'], /--stun-host/],
  ])('%j is wrong usage', async (args, words) => {
    const { code, floe } = await run(['serve', '--port', '0', ...args])
    expect(floe.stderr).toMatch(words)
    expect(code).toBe(2)
  })

  test('ends in order on Ctrl-C, and frees its port', async () => {
    const floe = new Floe(['serve', '--port', '0', '--json'])
    const address = String((await floe.event('listening')).url)
    floe.interrupt()
    floe.interrupt() // npm start: once from the terminal, once from npm
    expect(await floe.exit).toBe(0)
    expect(floe.lines.at(-1)).toEqual({ event: 'stopped' })
    await expect(fetch(address)).rejects.toThrow()
  })
})
