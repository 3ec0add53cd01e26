import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { decode, encode } from '@floe/stun'
import { describe, expect, test, vi } from 'vitest'
import * as nat from '../../src/node/index.ts'
import { homeName, Router, runAtHome, WAN, whyNoHome } from './home.ts'

describe.runIf(homeName)('the examples of the README', { timeout: 20_000 }, () => {
  test('a mapping', async () => {
    await using router = new Router()
    await router.start()
    const printed = await run(examples()[0]!)
    expect(printed).toEqual([['the world reaches me at', { ip: WAN, port: 5000 }, 'by', 'pcp']])
    expect(router.rules()).toEqual([])
  })

  test('behaviour and NAT64', async () => {
    await using a = await listen()
    await using b = await listen()
    const code = examples()[1]!
      .replace('stun:stun.example.org', `stun:127.0.0.1:${a.port}`)
      .replace('stun:stun.example.net', `stun:127.0.0.1:${b.port}`)
    const printed = await run(code)
    expect(printed[0]?.slice(1)).toEqual(['unknown', 'preserving'])
    expect(printed[1]).toEqual([['64:ff9b::c000:221']])
  })
})

if (!homeName) {
  const why = whyNoHome('miniupnpd')
  test.skipIf(why)(`the examples of the README ${why ?? ''}`.trim(), { timeout: 60_000 }, () => {
    const { status, output } = runAtHome(import.meta.filename, 50_000)
    expect(status, output).toBe(0)
  })
}

function examples(): string[] {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  return [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code!)
}

/** Runs a module's text as a function, with its imports loaded one by one; what it printed. */
async function run(module: string): Promise<unknown[][]> {
  const body = module.replace(/^import (.+) from '.+'$/gm, 'const $1 = nat')
  const AsyncFunction = (async () => {}).constructor as FunctionConstructor
  const log = vi.spyOn(console, 'log').mockReturnValue()
  try {
    await new AsyncFunction('nat', body)(nat)
    return [...log.mock.calls]
  } finally {
    log.mockRestore()
  }
}

async function listen() {
  const socket = createSocket('udp4')
  socket.on('message', (bytes, { address: ip, port }) => {
    const { transactionId } = decode(bytes)!
    const attributes = { xorMappedAddress: { ip, port } }
    socket.send(encode({ method: 'binding', class: 'success', transactionId, attributes }), port, ip)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return { port: socket.address().port, [Symbol.asyncDispose]: async () => void socket.close() }
}
