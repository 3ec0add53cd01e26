import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { build, run } from './floe.ts'

beforeAll(build, 60_000)

describe('help', () => {
  test.each([[], ['--help'], ['-h'], ['help']])('floe %s', async (...args) => {
    const { code, floe } = await run(args)
    expect(code).toBe(0)
    expect(floe.stdout.join('\n')).toMatch(/floe serve[\s\S]*floe connect[\s\S]*Exit codes/)
  })

  test.each(['serve', 'connect'])('floe %s --help shows its options, examples and how it ends', async (name) => {
    const { code, floe } = await run([name, '--help'])
    expect(code).toBe(0)
    const text = floe.stdout.join('\n')
    expect(text).toMatch(/Usage[\s\S]*--json[\s\S]*Examples[\s\S]*[Ee]xit code/)
    for (const line of floe.stdout) expect(line.length).toBeLessThanOrEqual(120)
  })

  test('the version is that of the package', async () => {
    const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'))
    const { code, floe } = await run(['--version'])
    expect([code, floe.stdout]).toEqual([0, [version]])
  })
})

describe('wrong usage is exit code 2, says what is wrong, and where to read on', () => {
  const cases: [args: string[], complaint: RegExp][] = [
    [['dance'], /no command 'dance'/],
    [['constructor'], /no command 'constructor'/],
    [['serve', '--nonsense'], /--nonsense/],
    [['serve', '--port', '70000'], /--port .* 65535, not '70000'/],
    [['serve', '--port', 'http'], /--port/],
    [['serve', '--stun', 'http://example.org'], /--stun .* stun:/],
    [['serve', '--turn-port', '3478'], /--turn-port goes with --turn/],
    [['serve', '--port', '0', '--turn', '--external-ip', '192.0.2.1'], /--external-ip are for .* others reach/],
    [['connect', 'den', '--turn-server', 'turn:turn.example.org'], /go together/],
    [['connect'], /Which room/],
    [['connect', 'one', 'two'], /'two'/],
    [['connect', 'no spaces'], /room/],
    [['connect', 'den', '--server', 'nonsense'], /URL/],
    [['connect', 'den', '--wait', 'long'], /--wait .* seconds/],
    [['connect', 'den', '--max-size', 'big'], /--max-size .* 500M/],
    [['connect', 'den', '--send', '/nonexistent/file'], /Cannot read .*ENOENT/],
    [['connect', 'den', '--send', '/'], /no regular file/],
    [['connect', 'den', '--receive', '/dev/null/x'], /Cannot receive into/],
  ]
  test.each(cases)('floe %j', async (args, complaint) => {
    const { code, floe } = await run(args)
    expect(floe.stderr).toMatch(complaint)
    expect(floe.stderr.split('\n').length).toBeGreaterThan(2) // the hint
    expect(floe.stdout).toEqual([])
    expect(code).toBe(2)
  })

  test('as JSON for machines', async () => {
    const { code, floe } = await run(['connect', '--json'])
    expect(floe.lines).toEqual([
      { event: 'error', code: 'ERR_CLI_USAGE', message: expect.any(String), hint: expect.stringContaining('--help') },
    ])
    expect([code, floe.stderr]).toEqual([2, ''])
  })
})

test('no signaling server is exit code 3, at once', async () => {
  const { code, floe } = await run(['connect', 'den', '--server', 'http://127.0.0.1:9', '--json'])
  expect(floe.lines[0]).toMatchObject({
    event: 'error',
    code: 'ERR_SIGNALING_UNREACHABLE',
    hint: expect.stringMatching(/floe serve/),
  })
  expect(code).toBe(3)
})
