/** Kernel, simulator and theory, cell by cell. The kernel's part is what its last run has left in docs/nat-matrix.json. */
import { expect, test } from 'vitest'
import { compare } from './comparison.ts'
import { DEVIATIONS, deviationOf } from './deviations.ts'
import { expectedOf, isExpected } from './expected.ts'
import { TYPE_NAMES } from './matrix.ts'
import { read } from './report.ts'
import { DIFFERENCES, differenceOf } from './simulated.ts'

const ALL = read()
const RECORDED = ALL.filter(({ peers }) => peers.every((kind) => kind === 'node'))
const COMPARED = compare(RECORDED)

test('the kernel has tried every cell', () => {
  const cells = RECORDED.map(({ places }) => places.join(' '))
  expect(cells).toEqual(TYPE_NAMES.flatMap((a) => TYPE_NAMES.map((b) => `${a} ${b}`)))
})

test.each(TYPE_NAMES)('%s with every other: both labs come to one route, or the reason is known', (name) => {
  const unexplained = COMPARED.filter(({ kernel, reason }) => kernel.places[0] === name && reason === 'unexplained')
  expect(unexplained).toEqual([])
})

test.each(TYPE_NAMES)('%s with every other: the simulator does what theory says', (name) => {
  for (const { kernel, simulated, reason } of COMPARED.filter(({ kernel }) => kernel.places[0] === name)) {
    // What the simulator cannot do says nothing about theory.
    if (reason !== undefined) continue
    const { routes, reason: because } = expectedOf(kernel)
    expect(routes, `${kernel.places.join(' with ')}: ${because}`).toContain(simulated.route)
  }
})

test.each(DIFFERENCES.map((difference) => [difference.reason, difference] as const))(
  'it is so that %s',
  (_, difference) => {
    const differing = COMPARED.filter(({ kernel, simulated }) => differenceOf(kernel, simulated) === difference)
    expect(differing.length, 'a reason without a difference').toBeGreaterThan(0)
  },
)

const UNEXPECTED = ALL.filter((result) => !isExpected(result))

test('no cell of any peers is other than expected, unless the reason is known', () => {
  const unexplained = UNEXPECTED.filter((result) => deviationOf(result) === undefined)
  expect(unexplained.map(({ peers, places, route }) => `${peers.join('–')} ${places.join(' ↔ ')}: ${route}`)).toEqual(
    [],
  )
})

test.each(DEVIATIONS.map((deviation) => [deviation.reason, deviation] as const))('it is so that %s', (_, deviation) => {
  const deviating = UNEXPECTED.filter((result) => deviationOf(result) === deviation)
  expect(deviating.length, 'a reason without a cell').toBeGreaterThan(0)
})
