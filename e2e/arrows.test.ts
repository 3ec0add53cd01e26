import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { EXCEPTIONS } from './arrows/exceptions.ts'
import { LAWS } from './arrows/laws.ts'
import { type Manifest, parseSource, type Repository, readRepository } from './arrows/source.ts'

describe('the laws of the house', () => {
  const repository = readRepository(join(import.meta.dirname, '..'))

  test.each(LAWS)('$name', ({ name, reason, check }) => {
    const violations = check(repository)
    const excused = EXCEPTIONS.filter(({ law }) => law === name)
    const broken = violations.filter(({ path }) => !excused.some((exception) => exception.path === path))
    const list = broken.map(({ path, detail }) => `  ${path} ${detail}`).join('\n')
    expect(broken.length, `${name}: ${reason}\n${list}\n`).toBe(0)
    const stale = excused.filter(({ path }) => !violations.some((violation) => violation.path === path))
    expect(stale, 'these exceptions are no longer needed').toEqual([])
  })

  test('the whole house was read', () => {
    const workspaces = new Set(repository.files.map((file) => file.workspace))
    expect([...workspaces]).toEqual(expect.arrayContaining(['packages/stun', 'packages/ice', 'packages/webrtc', 'e2e']))
  })
})

/** Every law must catch what it is there for: one small repository per crime. */
const PLANTED: readonly { law: string; path: string; text: string; lockFile?: string }[] = [
  { law: 'node: only under node/', path: 'packages/ice/src/agent.ts', text: `import dgram from 'node:dgram'` },
  { law: 'node: only under node/', path: 'packages/ice/src/agent.ts', text: `const fs = await import('fs')` },
  { law: 'node: only under node/', path: 'packages/webrtc/src/connect.ts', text: `export * from 'node:net'` },
  { law: 'the core does not know its driver', path: 'packages/ice/src/agent.ts', text: `import './node/driver.ts'` },
  { law: 'time and randomness are injected', path: 'packages/stun/src/a.ts', text: 'const now = Date.now()' },
  { law: 'time and randomness are injected', path: 'packages/stun/src/a.ts', text: 'const x = { r: Math.random() }' },
  { law: 'time and randomness are injected', path: 'packages/ice/src/a.ts', text: 'globalThis.setTimeout(f, 1)' },
  { law: 'time and randomness are injected', path: 'packages/ice/src/a.ts', text: 'const o = { performance }' },
  { law: 'imports are declared', path: 'packages/stun/src/a.ts', text: `import * as v from 'valibot'` },
  { law: 'imports are declared', path: 'packages/stun/src/a.ts', text: `import { test } from 'vitest'` },
  { law: 'arrows between workspaces', path: 'packages/stun/src/a.ts', text: `import '@floe/ice/node'` },
  {
    law: 'arrows between workspaces',
    path: 'packages/ice/src/a.ts',
    text: `import type { A } from '../../../signaling/src/a.ts'`,
  },
  {
    law: 'workspaces meet at their front doors',
    path: 'e2e/sim/a.ts',
    text: `import '../../packages/ice/src/check.ts'`,
  },
  { law: 'no drawers', path: 'packages/ice/src/utils.ts', text: '' },
  { law: 'no drawers', path: 'packages/ice/src/helpers/time.ts', text: '' },
  { law: 'files of at most 400 lines', path: 'packages/ice/src/agent.ts', text: 'f()\n'.repeat(401) },
  { law: 'no cycles', path: 'packages/ice/src/a.ts', text: `import './b.ts'` },
  {
    law: 'the lock file names no registry',
    path: 'packages/ice/src/a.ts',
    text: '',
    lockFile: '{ "resolved": "https://registry.example/a.tgz" }',
  },
]

describe('a planted breach is found', () => {
  test.each(PLANTED)('$law: $path $text', ({ law, path, text, lockFile }) => {
    const repository = planted(path, text, lockFile)
    expect(LAWS.find(({ name }) => name === law)?.check(repository)).toHaveLength(1)
  })

  test('and an upright repository has none', () => {
    const upright = `import { a } from '@floe/stun'\n/* Date.now() */ const s = 'Math.random'\nsocket.process(s, a)`
    for (const { name, check } of LAWS) expect(check(planted('packages/ice/src/a.ts', upright)), name).toEqual([])
  })

  test('every law has a planted breach', () => {
    expect(new Set(PLANTED.map(({ law }) => law))).toEqual(new Set(LAWS.map(({ name }) => name)))
  })
})

function planted(path: string, text: string, lockFile = '{ "resolved": "packages/ice" }'): Repository {
  const manifest = (name: string, ...dependencies: string[]): Manifest => ({ name, dependencies, devDependencies: [] })
  const manifests = new Map([
    ['', { ...manifest('floe'), devDependencies: ['vitest'] }],
    ['packages/stun', manifest('@floe/stun')],
    ['packages/ice', manifest('@floe/ice', '@floe/stun')],
    ['packages/webrtc', manifest('@floe/webrtc', '@floe/ice')],
    ['signaling', manifest('@floe/signaling', '@floe/webrtc')],
    ['e2e', manifest('@floe/e2e')],
  ])
  const source = (file: string, content: string) => parseSource(file, content, [...manifests.keys()])
  const files = [source(path, text), source('packages/ice/src/b.ts', `import type { A } from './a.ts'`)]
  return { files, manifests, lockFile }
}
