import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Scenario } from '../../topology/scenario.ts'
import { readCorpus } from '../corpus.ts'
import { PLANTED_FAULTS } from '../planted.ts'
import { EXIT, main } from './main.ts'

let folder: string
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'floe-sim-'))))
afterEach(() => rmSync(folder, { recursive: true }))

/** Runs the command. */
function run(...args: string[]) {
  const said = { out: '', err: '' }
  const code = main(args, {
    corpus: folder,
    print: (text) => (said.out += `${text}\n`),
    complain: (text) => (said.err += `${text}\n`),
  })
  return { code, ...said }
}

function write(content: unknown): string {
  const file = join(folder, 'scenario.json')
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}

/** Two hosts on the open internet. */
const EASY: Scenario = { seed: 1, a: {}, b: {}, limit: 1_000 }

test('--help teaches, and names every option', () => {
  for (const flag of ['--help', '-h']) {
    const { code, out } = run(flag)
    expect(code).toBe(EXIT.held)
    for (const option of ['seeds', 'from', 'seed', 'replay', 'plain', 'trace', 'shrink', 'keep', 'help'])
      expect(out).toContain(`--${option}`)
  }
})

describe('wrong usage', () => {
  test.each([
    [['--sedes', '3'], "Unknown option '--sedes'."],
    [['--seeds'], "Option '--seeds <value>' argument missing."],
    [['--seeds', '1.5'], "--seeds wants a whole number from 1 to 4294967295, not '1.5'."],
    [['--from', '-1'], 'argument is ambiguous.'],
    [['--seed', '0'], "--seed wants a whole number from 1 to 4294967295, not '0'."],
    [['--seed', '1', '--from', '2'], 'one of the three.'],
    [['--seed', '1', '--replay', 'x.json'], 'one of the three.'],
    [['--trace'], '--trace is for one scenario: name it by --seed or --replay.'],
    [['--replay', 'x.json', '--plain'], '--plain is about what is drawn by seed, and --replay draws nothing.'],
    [['--replay', 'not-there.json'], 'not-there.json cannot be read as JSON: ENOENT'],
    [['12'], "Unexpected argument '12'."],
  ])('%j', (args, complaint) => {
    const { code, out, err } = run(...args)
    expect(err).toContain(complaint)
    expect({ code, out, hint: err.trimEnd().split('\n').at(-1) }).toEqual({
      code: EXIT.usage,
      out: '',
      hint: 'See: npm run sim -- --help',
    })
  })

  test('a file that is no scenario', () => {
    expect(run('--replay', write('{')).err).toContain('cannot be read as JSON')
    expect(run('--replay', write({ why: 'x', scenario: { seed: 1, a: {} } })).err).toContain(
      "is no scenario: it has no 'b'",
    )
  })
})

test('an exploration without a failure counts what there was', () => {
  const { code, out, err } = run('--seeds', '20', '--from', '7', '--plain')
  expect({ code, err }).toEqual({ code: EXIT.held, err: '' })
  const [rate, cost, kinds, ...rest] = out.trimEnd().split('\n')
  expect(rate).toMatch(/^seeds 7 to 26: 0 failed, \d+ scenarios\/s$/)
  expect(cost).toMatch(/^\d+ per second of CPU time; the slowest tenth took \d+ % of the time$/)
  expect(kinds).toMatch(/^\d+ pairs had to meet, \d+ could not, \d+ might; \d+ searched$/)
  expect(rest).toEqual([])
})

test('one seed, and a file with the scenario that it prints, end alike', () => {
  const bySeed = run('--seed', '5')
  expect(bySeed.code).toBe(EXIT.held)
  const [scenario, verdict] = bySeed.out.split('\n')
  expect(verdict).toMatch(/^held: /)
  expect(run('--replay', write(scenario!)).out).toBe(bySeed.out)
})

test('--replay takes entries of a corpus; --trace shows every step', () => {
  const { code, out } = run('--replay', write({ why: 'none', scenario: EASY }), '--trace')
  expect(code).toBe(EXIT.held)
  expect(out).toMatch(/ms a +send +#1 /)
  expect(out).toMatch(
    /held: connected after \d+ ms \(they must meet\); a \w+ host-host, b \w+ host-host; \d+ packets\n$/,
  )
})

describe('what fails', () => {
  const { plant } = PLANTED_FAULTS.find(({ name }) => name === 'all pairs have one priority')!
  let undo: () => void
  beforeEach(() => (undo = plant!()))
  afterEach(() => undo())

  test('is told at once, with its command and its end; the exit code says so', () => {
    const { code, out } = run('--from', '2', '--seeds', '2')
    expect(code).toBe(EXIT.failed)
    expect(out).toMatch(/^FAILED seed 2: priorities: .*\n {2}npm run sim -- --seed 2 --trace\n/)
    expect(out).toContain('seeds 2 to 3: 2 failed')
    expect(out).toContain('priorities (2): seeds 2 3')
    const one = run('--seed', '2')
    expect(one.code).toBe(EXIT.failed)
    expect(one.out).toMatch(/… \d+ earlier steps\n/)
    expect(one.out).toContain('FAILED priorities: ')
  })

  test('a plain seed is replayed as one', () => {
    expect(run('--seeds', '1', '--from', '2', '--plain').out).toContain('npm run sim -- --seed 2 --plain --trace')
  })

  test('--shrink prints the smallest that fails so; --keep writes it, and a replay of it fails alike', () => {
    expect(run('--seed', '3', '--shrink').out).toContain('smallest that fails so: {"seed":3,')
    expect(readCorpus(folder).size).toBe(0)
    const { out } = run('--seeds', '2', '--from', '3', '--keep')
    const [[name, entry]] = [...readCorpus(folder)] as [[string, { why: string; scenario: Scenario }]]
    expect(name).toBe('priorities-seed-3.json')
    expect(out).toContain(`kept: ${join(folder, name)}.`)
    expect(entry.why).toMatch(/^priorities: /)
    expect(entry.scenario.faults).toBeUndefined()
    expect(run('--replay', join(folder, name)).code).toBe(EXIT.failed)
    expect(existsSync(join(folder, 'priorities-seed-4.json'))).toBe(false)
  })

  test('--keep overwrites nothing', () => {
    run('--seed', '3', '--keep')
    expect(run('--seed', '3', '--keep')).toMatchObject({
      code: EXIT.failed,
      out: expect.stringContaining('is there already'),
    })
  })
})
