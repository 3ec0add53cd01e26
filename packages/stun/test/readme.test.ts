import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { expect, test, vi } from 'vitest'
import * as stun from '../src/index.ts'

test('the example of the README runs', async () => {
  const server = createSocket('udp4')
  server.on('message', (bytes, { address, port }) => {
    const request = stun.decode(bytes)!
    const attributes = { xorMappedAddress: { ip: address, port } }
    server.send(stun.encode({ ...request, class: 'success', attributes }), port, address)
  })
  server.bind(0, '127.0.0.1')
  await once(server, 'listening')
  const log = vi.spyOn(console, 'log').mockReturnValue()
  try {
    await run(example().replace('3478', `${server.address().port}`).replace('stun.example.org', '127.0.0.1'))
    await vi.waitFor(() => expect(log).toHaveBeenCalled())
    const port = expect.any(Number)
    expect(log.mock.calls).toEqual([['the world sees me as', { ip: '127.0.0.1', port }]])
  } finally {
    log.mockRestore()
    server.close()
  }
})

function example(): string {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  return /```ts\n(.*?)```/s.exec(readme)![1]!
}

/** Runs a module's text as a function, with its imports loaded one by one. */
function run(module: string): Promise<void> {
  const body = module.replace(/^import (.+) from ('.+')$/gm, 'const $1 = await load($2)')
  const AsyncFunction = (async () => {}).constructor as FunctionConstructor
  const load = (name: string) => (name === '@floe/stun' ? stun : import(name))
  return new AsyncFunction('load', body)(load)
}
