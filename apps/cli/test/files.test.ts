import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Exchange, type ExchangeConnection, type IncomingFile } from '@floe/exchange'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { safeName, save } from '../src/files.ts'
import { formatSize, printable } from '../src/output.ts'

describe('a name from a stranger', () => {
  const cases: [theirs: string, ours: string][] = [
    ['photo.jpg', 'photo.jpg'],
    ['Grüße aus Köln.txt', 'Grüße aus Köln.txt'],
    ['../../etc/passwd', 'passwd'],
    ['..\\..\\windows\\win.ini', 'win.ini'],
    ['/etc/shadow', 'shadow'],
    ['..', 'file'],
    ['.', 'file'],
    ['', 'file'],
    ['   ', 'file'],
    ['.bashrc', 'bashrc'],
    ['..hidden', 'hidden'],
    ['a\u0000b\n\u001b[31m.txt', 'a_b__[31m.txt'],
    ['gpj.\u202eexe', 'gpj._exe'],
    ['con:stream', 'con_stream'],
    ['trailing. . ', 'trailing'],
  ]
  test.each(cases)('%j becomes %j', (theirs, ours) => {
    expect(safeName(theirs)).toBe(ours)
  })

  test('fits every file system, and keeps its ending', () => {
    const name = safeName(`${'ü'.repeat(255)}.tar`)
    expect(Buffer.byteLength(name)).toBeLessThanOrEqual(249)
    expect(name).toMatch(/^ü+\.tar$/)
  })
})

describe('saving', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'floe-files-test-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  test('writes the file and hands out its checksum', async () => {
    const { path, sha256 } = await save(await offered('a.txt', 'abc'), folder)
    expect(path).toBe(join(folder, 'a.txt'))
    expect(sha256).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
    expect(await readFile(path, 'utf8')).toBe('abc')
  })

  test('overwrites nothing and follows no link', async () => {
    const outside = join(folder, 'outside')
    await writeFile(join(folder, 'a.txt'), 'mine')
    await symlink(outside, join(folder, 'a (1).txt'))
    expect((await save(await offered('a.txt', 'theirs'), folder)).path).toBe(join(folder, 'a (2).txt'))
    expect(await readFile(join(folder, 'a.txt'), 'utf8')).toBe('mine')
    await expect(readFile(outside)).rejects.toThrow()
  })

  test('leaves nothing of a file that breaks off', async () => {
    const broken = await offered('a.txt', 'abc', 5)
    await expect(save(broken, folder)).rejects.toMatchObject({ code: 'ERR_EXCHANGE_CANCELLED' })
    expect(await readdir(folder)).toEqual([])
  })

  test('declines when it cannot write', async () => {
    await expect(save(await offered('a.txt', 'abc'), join(folder, 'missing'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

test('text from a stranger cannot drive the terminal', () => {
  expect(printable('a\u001b[2Jb\u0007\u009bc\u202ed\r\n\te')).toBe('a�[2Jb��c�d�\n\te')
})

test('sizes for people', () => {
  expect([0, 999, 1000, 1_234_567, 2e9, 5e15].map(formatSize)).toEqual([
    '0 bytes',
    '999 bytes',
    '1.0 kB',
    '1.2 MB',
    '2.0 GB',
    '5000.0 TB',
  ])
})

/** A file that a real exchange offers; its source may end before the announced size. */
async function offered(name: string, content: string, size = content.length): Promise<IncomingFile> {
  const [near, far] = connectionPair()
  const incoming = new Promise<IncomingFile>((resolve) => {
    new Exchange(far).onfile = resolve
  })
  const stream = async function* () {
    yield new TextEncoder().encode(content)
  }
  new Exchange(near).sendFile({ name, size, stream }).catch(() => {}) // the receiver's side is what is looked at
  return incoming
}

function connectionPair(): [ExchangeConnection, ExchangeConnection] {
  const pair = [0, 1].map((index) => ({
    onmessage: null as ExchangeConnection['onmessage'],
    send: async (data: string | Uint8Array) => {
      setImmediate(() => pair[1 - index]?.onmessage?.(data))
    },
  }))
  return pair as unknown as [ExchangeConnection, ExchangeConnection]
}
