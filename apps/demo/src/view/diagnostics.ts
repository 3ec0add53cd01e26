import { copyOnClick } from './copy.ts'
import { byId } from './element.ts'

/** The report for whoever is asked for help. */
export class DiagnosticsView {
  readonly #section = byId('diagnostics')
  readonly #details = byId<HTMLDetailsElement>('diagnostics-details')
  readonly #json = byId('diagnostics-json')
  readonly #report: () => object

  /** @param report what to show, asked for at the moment when it is needed */
  constructor(report: () => object) {
    this.#report = report
    copyOnClick(byId<HTMLButtonElement>('diagnostics-copy'), () => this.#text())
    this.#details.addEventListener('toggle', () => this.refresh())
  }

  set hidden(hidden: boolean) {
    this.#section.hidden = hidden
  }

  /** A selection is somebody copying a part of it: then it stays as it is. */
  refresh(): void {
    if (!this.#details.open || document.getSelection()?.containsNode(this.#json, true)) return
    this.#json.textContent = this.#text()
  }

  #text(): string {
    return JSON.stringify(this.#report(), null, 2)
  }
}
