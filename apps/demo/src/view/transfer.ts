import { formatBytes } from '../format.ts'
import type { Transfer } from '../transfers.ts'
import { copyOnClick } from './copy.ts'
import { announce, button, create, setText } from './element.ts'

/** One file: its name, how far it is, what can be done with it. */
export function transferItem(transfer: Transfer): HTMLElement {
  const { name, size, direction } = transfer
  const arrow = create('span', 'arrow', direction === 'out' ? '↑' : '↓')
  arrow.setAttribute('aria-hidden', 'true')
  const way = create('span', 'visually-hidden', direction === 'out' ? 'Sending ' : 'Receiving ')
  const bar = create('progress')
  bar.max = Math.max(size, 1)
  bar.setAttribute('aria-label', `Progress of ${name}`)
  const words = create('span', 'transfer-words')
  const actions = create('span', 'actions')
  const digest = create('div', 'digest')
  const title = create(
    'div',
    'transfer-title',
    arrow,
    way,
    create('strong', '', name),
    create('span', 'size', formatBytes(size)),
  )
  const item = create('li', `transfer ${direction}`, title, bar, create('div', 'transfer-foot', words, actions), digest)

  let shown = ''
  let scheduled = false
  const update = () => {
    scheduled = false
    bar.value = transfer.state === 'done' ? bar.max : transfer.moved
    bar.hidden = transfer.state === 'offered' || transfer.state === 'failed'
    setText(words, wordsFor(transfer))
    item.dataset.state = transfer.state
    if (shown === transfer.state) return
    shown = transfer.state
    actions.replaceChildren(...actionsFor(transfer))
    digest.replaceChildren(...digestOf(transfer))
    if (/done|failed/.test(shown)) announce(`${name}: ${wordsFor(transfer)}`)
  }
  transfer.addEventListener('change', () => {
    // Thousands of chunks a second are drawn once per frame; the end of it even when the tab is in the background.
    if (transfer.state !== shown) update()
    else if (!scheduled) {
      scheduled = true
      requestAnimationFrame(update)
    }
  })
  update()
  return item
}

function wordsFor(transfer: Transfer): string {
  const { state, direction, moved, size, rate, problem } = transfer
  switch (state) {
    case 'offered':
      return direction === 'out' ? 'Waiting for the other side to accept' : 'The other side wants to send you this'
    case 'moving':
      return `${Math.floor((100 * moved) / Math.max(size, 1))} % · ${formatBytes(rate)}/s`
    case 'checking':
      return 'Comparing checksums'
    case 'done':
      return direction === 'out' ? 'Delivered, checksum verified' : 'Received, checksum verified'
    case 'failed':
      return problem ?? 'Failed'
  }
}

function actionsFor(transfer: Transfer): HTMLElement[] {
  const { state, direction, name, url } = transfer
  if (state === 'done' && url) {
    const link = create('a', 'button primary', 'Save')
    link.href = url
    link.download = name
    link.setAttribute('aria-label', `Save ${name}`)
    return [link]
  }
  if (state === 'done' || state === 'failed') return []
  if (state === 'offered' && direction === 'in') {
    const accept = labelled(
      button('Accept', () => transfer.accept?.(), 'button primary'),
      `Accept ${name}`,
    )
    return [
      accept,
      labelled(
        button('Decline', () => transfer.cancel()),
        `Decline ${name}`,
      ),
    ]
  }
  return [
    labelled(
      button('Cancel', () => transfer.cancel()),
      `Cancel ${name}`,
    ),
  ]
}

function digestOf({ sha256 }: Transfer): Node[] {
  if (!sha256) return []
  const code = create('code', '', sha256)
  const copy = button('Copy', () => {}, 'button quiet')
  copyOnClick(copy, () => sha256)
  return [create('span', 'digest-name', 'SHA-256'), code, labelled(copy, 'Copy the checksum')]
}

function labelled(element: HTMLElement, label: string): HTMLElement {
  element.setAttribute('aria-label', label)
  return element
}
