import { readdirSync, readFileSync } from 'node:fs'
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
