import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Scenario } from '../topology/scenario.ts'

/** A scenario that has failed once, as small as it could be made. */
export interface CorpusEntry {
  /** What went wrong, and what must hold. */
  readonly why: string
  readonly scenario: Scenario
}

/** Every entry of a folder by its file's name. */
export function readCorpus(folder: string): ReadonlyMap<string, CorpusEntry> {
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'))
  return new Map(names.map((name) => [name, JSON.parse(readFileSync(join(folder, name), 'utf8')) as CorpusEntry]))
}

/** Writes an entry, unless there is one of this name; returns the file's path. Its `why` waits for somebody who knows. */
export function keepScenario(folder: string, name: string, entry: CorpusEntry): { path: string; known: boolean } {
  const path = join(folder, `${name}.json`)
  const known = existsSync(path)
  if (!known) writeFileSync(path, `${JSON.stringify(entry, null, 2)}\n`)
  return { path, known }
}
