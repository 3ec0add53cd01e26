import type { Scenario } from '../topology/scenario.ts'
import { type Failure, failureOf } from './explore.ts'

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** What a scenario cannot be without. */
const REQUIRED = new Set(
  'seed limit a b mapping filtering low high name kind at of interface placement quality server interval every lasting'.split(
    ' ',
  ),
)
/** Required within these; optional elsewhere. */
const REQUIRED_IN: Readonly<Record<string, readonly string[]>> = {
  carrier: ['nat'],
  bursts: ['loss'],
  suspend: ['for'],
}

/**
 * A smaller scenario that fails in the same way: faults, hosts and options are left away and numbers made round, one at a
 * time, until nothing more can go. `fails` is asked again and again.
 */
export function shrink(
  failure: Failure,
  fails: (scenario: Scenario) => Failure | undefined = (scenario) => failureOf(scenario),
): Failure {
  let smallest = failure
  for (let smaller: Failure | undefined = failure; smaller; smaller = firstThatFailsAlike(smallest, fails))
    smallest = smaller
  return smallest
}

function firstThatFailsAlike(
  failure: Failure,
  fails: (scenario: Scenario) => Failure | undefined,
): Failure | undefined {
  for (const candidate of simplifications(failure.scenario as unknown as Json)) {
    const smaller = fails(candidate as unknown as Scenario)
    if (smaller?.invariant === failure.invariant && sameKind(smaller, failure)) return smaller
  }
  return undefined
}

/** What throws may throw for many reasons: the text must agree, but for the numbers in it. */
function sameKind(one: Failure, other: Failure): boolean {
  if (one.invariant !== 'throws') return true
  const text = ({ error }: Failure) => error.message.split('\n')[0]!.replace(/[0-9a-f.:[\]]+/g, '')
  return text(one) === text(other)
}

/** Each one step simpler than `value`, the boldest steps first. */
function* simplifications(value: Json, key = ''): Generator<Json> {
  if (Array.isArray(value)) yield* ofArray(value, key)
  else if (typeof value === 'object' && value !== null) yield* ofObject(value as Record<string, Json>, key)
  else if (typeof value === 'number') yield* ofNumber(value, key)
  else if ((key === 'mapping' || key === 'filtering') && value !== 'endpoint-independent') yield 'endpoint-independent'
}

function* ofArray(value: readonly Json[], key: string): Generator<Json> {
  const most = key === 'a' || key === 'b' ? 1 : 0
  if (key !== 'roles' && value.length > most) {
    for (const index of value.keys()) yield value.toSpliced(index, 1)
  }
  for (const [index, element] of value.entries()) {
    for (const simpler of simplifications(element)) yield value.with(index, simpler)
  }
}

function* ofObject(value: Record<string, Json>, key: string): Generator<Json> {
  const needed = [...(REQUIRED_IN[key] ?? []), ...(REQUIRED_IN[String(value.kind)] ?? [])]
  for (const name of Object.keys(value)) {
    if (REQUIRED.has(name) || needed.includes(name)) continue
    const { [name]: _left, ...rest } = value
    yield rest
  }
  for (const [name, inner] of Object.entries(value)) {
    if (name === 'seed' || name === 'limit') continue
    for (const simpler of simplifications(inner, name)) yield { ...value, [name]: simpler }
  }
}

function* ofNumber(value: number, key: string): Generator<Json> {
  if (key === 'family' || key === 'interface' || key === 'server' || key === 'low' || key === 'high') return
  for (const rounder of [0, Number(value.toPrecision(1)), Number(value.toPrecision(2))]) {
    if (rounder !== value && (rounder !== 0 || key === 'at' || key === 'skew')) yield rounder
  }
}
