/** One cell of the matrix: an encounter between two places. */
import { NAT_TYPES, type NatTypeName } from '../topology/nat-types.ts'
import { capture } from './capture.ts'
import { type Encounter, type Meeting, meet, type Patience } from './encounter.ts'
import { Internet } from './internet.ts'

export interface Cell extends Encounter {
  readonly places: readonly [NatTypeName, NatTypeName]
}

export interface Outcome extends Meeting {
  readonly cell: Cell
}

/** With a folder for `captures`, what everybody saw is left there. */
export async function runCell(cell: Cell, patience: Patience, captures?: string): Promise<Outcome> {
  const [a, b] = cell.places
  await using internet = await Internet.build({ hosts: { a: NAT_TYPES[a].placements, b: NAT_TYPES[b].placements } })
  if (captures !== undefined) await capture(internet, captures)
  return { cell, ...(await meet(internet, cell, patience)) }
}
