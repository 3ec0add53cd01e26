import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'

/**
 * Every TypeScript block of these pages is a program that must run to its end and print what its comment promises.
 * Examples that need a peer or a server of the reader's (stun, webrtc) are tested beside their packages.
 */
const PAGES = ['README.md', 'packages/ice/README.md']
const root = join(import.meta.dirname, '..')
const scratch = join(import.meta.dirname, '.readme')

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

for (const page of PAGES) {
  const text = readFileSync(join(root, page), 'utf8')
  const blocks = [...text.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code as string)
  for (const [index, code] of blocks.entries()) {
    test(`${page}, example ${index + 1}`, { timeout: 30_000 }, async () => {
      mkdirSync(scratch, { recursive: true })
      const file = join(scratch, `${page.replaceAll('/', '-')}-${index + 1}.ts`)
      writeFileSync(file, `${code}\nexport {}\n`)
      const printed: string[] = []
      const log = vi.spyOn(console, 'log').mockImplementation((...words) => void printed.push(words.join(' ')))
      try {
        await import(file)
      } finally {
        log.mockRestore()
      }
      const promised = [...code.matchAll(/console\.log\(.*\) \/\/ ([^;\n]*)/g)].map(([, comment]) => comment)
      expect(printed).toEqual(promised)
    })
  }
}
