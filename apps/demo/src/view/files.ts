import type { Exchange } from '@floe/exchange'
import { receiveFile, sendFile, type Transfer } from '../transfers.ts'
import { announce, byId } from './element.ts'
import { transferItem } from './transfer.ts'

/** Files to send, by picker or dropped anywhere on the page, and all transfers of both directions. */
export class FilesView {
  readonly #list = byId('transfers')
  readonly #drop = byId('drop')
  readonly #input = byId<HTMLInputElement>('file-input')
  readonly #veil = byId('drop-veil')
  #exchange: Exchange | undefined

  constructor() {
    this.#input.addEventListener('change', () => {
      this.#send([...(this.#input.files ?? [])])
      this.#input.value = ''
    })
    this.#listenForDrops()
    this.detach()
  }

  /** @param trusting accept what comes without asking: it was we who sent it there */
  attach(exchange: Exchange, trusting: boolean): void {
    this.#exchange = exchange
    exchange.onfile = (incoming) => {
      const transfer = receiveFile(incoming)
      this.#show(transfer)
      if (trusting) transfer.accept?.()
      else announce(`The other side wants to send you ${transfer.name}`)
    }
    this.#setEnabled(true)
  }

  detach(): void {
    this.#exchange = undefined
    this.#setEnabled(false)
  }

  clear(): void {
    this.detach()
    for (const link of this.#list.querySelectorAll<HTMLAnchorElement>('a[download]')) URL.revokeObjectURL(link.href)
    this.#list.replaceChildren()
  }

  #setEnabled(enabled: boolean): void {
    this.#input.disabled = !enabled
    this.#drop.classList.toggle('disabled', !enabled)
  }

  #send(files: readonly File[]): void {
    const exchange = this.#exchange
    if (exchange) for (const file of files) this.#show(sendFile(exchange, file))
  }

  #show(transfer: Transfer): void {
    this.#list.prepend(transferItem(transfer))
  }

  #listenForDrops(): void {
    const carriesFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false
    let depth = 0
    const setDepth = (value: number) => {
      depth = Math.max(0, value)
      this.#veil.hidden = depth === 0 || !this.#exchange
    }
    document.addEventListener('dragenter', (event) => carriesFiles(event) && setDepth(depth + 1))
    document.addEventListener('dragleave', (event) => carriesFiles(event) && setDepth(depth - 1))
    // Without this, a file that misses the page's fields replaces the page.
    document.addEventListener('dragover', (event) => carriesFiles(event) && event.preventDefault())
    document.addEventListener('drop', (event) => {
      if (!carriesFiles(event)) return
      event.preventDefault()
      setDepth(0)
      this.#send([...(event.dataTransfer?.files ?? [])])
    })
  }
}
