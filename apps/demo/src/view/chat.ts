import type { Exchange } from '@floe/exchange'
import { byId, create } from './element.ts'

/** Messages that are kept on the page. */
const LONGEST = 500

/** What was said, and the field to say more. */
export class ChatView {
  readonly #log = byId('chat-log')
  readonly #form = byId<HTMLFormElement>('chat-form')
  readonly #input = byId<HTMLInputElement>('chat-text')
  #exchange: Exchange | undefined

  constructor() {
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault()
      void this.#say(this.#input.value)
    })
    this.detach('Nothing said yet.')
  }

  attach(exchange: Exchange, peerName: string): void {
    this.#exchange = exchange
    exchange.onchat = (text) => this.#add('theirs', text, peerName)
    this.#note(`Connected to ${peerName}.`)
    this.#setEnabled(true)
  }

  /** Nobody is there any more; what was said stays. */
  detach(why: string): void {
    if (this.#exchange) this.#note(why)
    this.#exchange = undefined
    this.#setEnabled(false)
  }

  clear(): void {
    this.#exchange = undefined
    this.#log.replaceChildren()
    this.#setEnabled(false)
  }

  focus(): void {
    this.#input.focus({ preventScroll: true })
  }

  async #say(text: string): Promise<void> {
    if (!text.trim() || !this.#exchange) return
    this.#input.value = ''
    const item = this.#add('mine', text, 'You')
    try {
      await this.#exchange.say(text)
    } catch {
      item.classList.add('unsent')
      item.append(create('span', 'problem', 'Not sent: the connection ended'))
    }
  }

  #setEnabled(enabled: boolean): void {
    for (const control of this.#form.elements) (control as HTMLInputElement).disabled = !enabled
  }

  #note(text: string): void {
    this.#append(create('p', 'note', text))
  }

  #add(side: 'mine' | 'theirs', text: string, who: string): HTMLElement {
    const item = create('p', side, create('span', 'visually-hidden', `${who}: `), create('span', 'bubble', text))
    this.#append(item)
    return item
  }

  #append(item: HTMLElement): void {
    const atEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 40
    this.#log.append(item)
    if (this.#log.childElementCount > LONGEST) this.#log.firstElementChild?.remove()
    if (atEnd) this.#log.scrollTop = this.#log.scrollHeight
  }
}
