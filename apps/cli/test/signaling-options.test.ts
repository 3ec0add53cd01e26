import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { beforeAll, describe, expect, test } from 'vitest'
import { build, Floe, run } from './floe.ts'

beforeAll(build, 60_000)

const secret = randomBytes(32).toString('base64')
const env = { FLOE_TOKEN_SECRET: secret }

describe('floe serve for the public', () => {
  test('lets in who has a token of floe token, echoes to them, and tells its log and Prometheus', async () => {
    await using server = new Floe(['serve', '--port', '0', '--metrics', '--log', '--json'], '', env)
    const url = String((await server.event('listening')).url)
    const refused = await run(['connect', 'echo-1', '--server', url], '')
    expect(refused.code).toBe(3)
    expect(refused.floe.stderr).toMatch(/token/)
    const { floe: issued, code } = await run(['token', 'echo-1', '--user', 'ann'], '', env)
    expect(code).toBe(0)
    const spoken = await run(
      ['connect', 'echo-1', '--server', url, '--token', issued.stdout[0]!, '--linger', '1'],
      'hi\n',
    )
    expect(spoken.floe.stdout).toContain('hi')
    expect(spoken.code).toBe(0)
    expect(await (await fetch(`${url}metrics`)).text()).toMatch(/^floe_signaling_joins_total\{result="joined"\} 2$/m)
    const records = server.stderr.split('\n').filter((line) => line.startsWith('{'))
    expect(records.map((line) => JSON.parse(line).event)).toEqual(
      expect.arrayContaining(['rejected', 'joined', 'left']),
    )
    expect(server.stderr).not.toContain(secret)
  })

  test('its bounds hold for connections that say nothing, too', async () => {
    await using server = new Floe(['serve', '--port', '0', '--max-per-address', '1', '--json'])
    const { port } = new URL(String((await server.event('listening')).url))
    const ended = [false, false, false]
    const silent = ended.map((_, index) => {
      const socket = connect(Number(port), '127.0.0.1').on('error', () => {})
      return socket.on('close', () => {
        ended[index] = true
      })
    })
    await expect.poll(() => ended, { timeout: 5_000 }).toEqual([false, false, true])
    for (const socket of silent) socket.destroy()
  })

  const wrong: [args: string[], complaint: RegExp][] = [
    [['serve', '--redis', 'localhost'], /--redis .*redis:\/\//],
    [['serve', '--origin', 'example'], /--origin .*https/],
    [['serve', '--proxies', 'one'], /--proxies/],
    [['serve', '--port', '0', '--token-secret', 'short'], /32 bytes/],
    [['token'], /which room/],
    [['token', 'den'], /FLOE_TOKEN_SECRET/],
  ]
  test.each(wrong)('refuses %j', async (args, complaint) => {
    const { code, floe } = await run(args)
    expect(floe.stderr).toMatch(complaint)
    expect(code).toBe(2)
  })

  test('says which Redis it does not reach', async () => {
    const { code, floe } = await run(['serve', '--port', '0', '--redis', 'redis://127.0.0.1:1'])
    expect(floe.stderr).toMatch(/127\.0\.0\.1:1/)
    expect(code).toBe(3)
  })
})
