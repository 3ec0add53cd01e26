/** Both labs in one table: what the kernel did when it was last asked, and what the simulator does now. */
import { MARKS } from './marks.ts'
import { type Result, TYPE_NAMES } from './matrix.ts'
import { differenceOf, type Simulated, simulateCell } from './simulated.ts'
import { table } from './table.ts'

const INTRODUCTION = `Two Node peers in the kernel, and in virtual time the same agents in the same places (\`e2e/natlab/simulated.ts\`). First
mark: kernel; second: simulator. A cell that differs has its reason's number. \`agreement.test.ts\` sees to it that there is
no difference without a reason, and no reason without a difference.`

export interface Compared {
  readonly kernel: Result
  readonly simulated: Simulated
  /** Where the routes differ; `unexplained` where nobody knows why. */
  readonly reason?: string
}

/** Of recorded results between two Node peers. */
export function compare(results: readonly Result[]): Compared[] {
  return results.map((kernel) => {
    const simulated = simulateCell(kernel.places)
    if (kernel.route === simulated.route) return { kernel, simulated }
    return { kernel, simulated, reason: differenceOf(kernel, simulated)?.reason ?? 'unexplained' }
  })
}

/** In Markdown. */
export function comparison(results: readonly Result[]): string {
  const compared = compare(results)
  const reasons = [...new Set(compared.flatMap(({ reason }) => reason ?? []))]
  const agreeing = compared.filter(({ reason }) => reason === undefined).length
  return [
    INTRODUCTION,
    `${agreeing} of ${compared.length} cells agree.`,
    grid(compared, reasons),
    reasons
      .map((reason, i) => `${i + 1}. ${reason} (${compared.filter((one) => one.reason === reason).length} cells)`)
      .join('\n'),
    figures(compared),
  ].join('\n\n')
}

function grid(compared: readonly Compared[], reasons: readonly string[]): string {
  const cell = (a: string, b: string) => {
    const found = compared.find(({ kernel: { places } }) => places[0] === a && places[1] === b)
    if (!found) return ''
    const { kernel, simulated, reason } = found
    return `${MARKS[kernel.route]}${MARKS[simulated.route]}${reason ? ` ${reasons.indexOf(reason) + 1}` : ''}`
  }
  return table(
    ['', ...TYPE_NAMES],
    TYPE_NAMES.map((a) => [`**${a}**`, ...TYPE_NAMES.map((b) => cell(a, b))]),
  )
}

function figures(compared: readonly Compared[]): string {
  const rows = compared.map(({ kernel, simulated }) => [
    kernel.places.join(' ↔ '),
    kernel.pairs.join(' / '),
    simulated.pairs.join(' / '),
    kernel.firstByte ?? '',
    simulated.connected ?? '',
    kernel.direct ?? '',
    simulated.direct ?? '',
    kernel.sent.join(' / '),
    simulated.sent.join(' / '),
  ])
  const head = [
    'places',
    'pairs, kernel',
    'pairs, simulator',
    'first byte, kernel ms',
    'connected, simulator ms',
    'direct, kernel ms',
    'direct, simulator ms',
    'datagrams, kernel',
    'datagrams, simulator',
  ]
  const note =
    'The kernel’s peers make DTLS and SCTP associations on top, and share two cores with their whole internet.'
  return `<details><summary>figures of both labs</summary>\n\n${note}\n\n${table(head, rows)}\n\n</details>`
}
