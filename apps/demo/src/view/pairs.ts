import { formatBytes, formatMilliseconds, shortAddress } from '../format.ts'
import type { End, Pair } from '../stats.ts'
import { byId, create, setText } from './element.ts'

/** The live table. Rows and cells are kept and only their text changes, so that reading and selecting are not disturbed. */
export class PairsView {
  readonly #section = byId('pairs')
  readonly #summary = byId('pairs-summary')
  readonly #body = byId('pairs-body')
  readonly #rows = new Map<string, HTMLTableRowElement>()

  /** @param live whether they are still in use, or what is left of a connection that is over */
  update(pairs: readonly Pair[], live: boolean): void {
    this.#section.hidden = pairs.length === 0
    const working = pairs.filter(({ state }) => state === 'succeeded').length
    setText(this.#summary, live ? `${pairs.length} tried, ${working} working` : 'as they were at the end')
    const ids = new Set(pairs.map(({ id }) => id))
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue
      row.remove()
      this.#rows.delete(id)
    }
    pairs.forEach((pair, i) => {
      const row = this.#rows.get(pair.id) ?? newRow()
      this.#rows.set(pair.id, row)
      updateRow(row, live ? pair : { ...pair, selected: false })
      if (this.#body.children[i] !== row) this.#body.insertBefore(row, this.#body.children[i] ?? null)
    })
  }

  clear(): void {
    this.update([], false)
  }
}

const COLUMNS = ['Local', 'Remote', 'Protocol', 'State', 'Nominated', 'Round trip', 'Sent', 'Received'] as const

function newRow(): HTMLTableRowElement {
  const row = create('tr')
  COLUMNS.forEach((name, i) => {
    const cell = create(i === 0 ? 'th' : 'td', i >= 5 ? 'number' : '')
    if (i === 0) cell.setAttribute('scope', 'row')
    cell.dataset.column = name
    cell.append(...(i < 2 ? [create('span', 'type'), create('span', 'address')] : [create('span')]))
    row.append(cell)
  })
  return row
}

function updateRow(row: HTMLTableRowElement, pair: Pair): void {
  row.classList.toggle('selected', pair.selected)
  const [local, remote, protocol, state, nominated, roundTrip, sent, received] = [...row.cells]
  updateEnd(local!, pair.local)
  updateEnd(remote!, pair.remote)
  write(protocol!, pair.local.protocol)
  write(state!, pair.selected ? 'in use' : pair.state)
  state!.firstElementChild!.className = `state ${pair.selected ? 'in-use' : pair.state}`
  write(nominated!, pair.nominated ? 'yes' : 'no')
  write(roundTrip!, pair.roundTripTime === undefined ? '–' : formatMilliseconds(pair.roundTripTime))
  write(sent!, formatBytes(pair.bytesSent))
  write(received!, formatBytes(pair.bytesReceived))
}

function updateEnd(cell: HTMLTableCellElement, { type, address }: End): void {
  const [typeElement, addressElement] = cell.children
  setText(typeElement!, type)
  typeElement!.className = `type ${type}`
  setText(addressElement!, shortAddress(address))
  addressElement!.setAttribute('title', address)
}

function write(cell: HTMLTableCellElement, text: string): void {
  setText(cell.firstElementChild!, text)
}
