/** What every benchmark ends with: a table for people, a JSON file for machines, an exit code for both. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'

const RESULTS = join(import.meta.dirname, '..', 'results')

/**
 * @typedef {object} Row
 * @property {string} what
 * @property {string} unit
 * @property {number} ours
 * @property {number} [peer]
 * @property {number} [ratio] ours to the peer's where that is measured better than by dividing the two
 * @property {'higher' | 'lower'} better
 * @property {number} [target] the least that `ratio` must be, or with `limit` …
 * @property {number} [limit] … the most that `ours` may be
 */

/**
 * Prints `rows` and stores them in results/<name>.json. The ratio says how many times better ours is.
 * @param {string} name
 * @param {string} title
 * @param {string} peer
 * @param {readonly Row[]} rows
 */
export function report(name, title, peer, rows, notes = []) {
  const judged = rows.map((row) => ({ ...row, ratio: ratioOf(row), met: isMet(row) }))
  mkdirSync(RESULTS, { recursive: true })
  const environment = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length }
  const result = { name, title, peer, at: new Date().toISOString(), environment, rows: judged, notes }
  writeFileSync(join(RESULTS, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`)
  const cells = [['', 'floe', peer, 'ratio', 'wanted', ''], ...judged.map(cellsOf)]
  const widths = cells[0].map((_, column) => Math.max(...cells.map((row) => row[column].length)))
  console.log(`\n${title}`)
  for (const row of cells) {
    console.log(`  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[i]))).join('  ')}`)
  }
  for (const note of notes) console.log(`  ${note}`)
  if (judged.some(({ met }) => met === false)) process.exitCode = 1
}

function cellsOf({ what, unit, ours, peer, ratio, target, limit, met }) {
  const wanted = target === undefined ? (limit === undefined ? '' : `≤ ${number(limit)}`) : `≥ ${target}×`
  return [
    `${what} (${unit})`,
    number(ours),
    peer === undefined ? '' : number(peer),
    ratio === undefined ? '' : `${ratio.toFixed(2)}×`,
    wanted,
    met === undefined ? '' : met ? 'yes' : 'NO',
  ]
}

function ratioOf({ ours, peer, better, ratio }) {
  if (ratio !== undefined || peer === undefined) return ratio
  return better === 'higher' ? ours / peer : peer / ours
}

function isMet(row) {
  if (row.target !== undefined) return ratioOf(row) >= row.target
  if (row.limit !== undefined) return row.ours <= row.limit
  return undefined
}

function number(value) {
  if (value >= 100) return Math.round(value).toLocaleString('en').replaceAll(',', ' ')
  return value.toPrecision(3)
}
