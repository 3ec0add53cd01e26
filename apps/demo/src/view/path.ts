import { formatMilliseconds, shortAddress } from '../format.ts'
import { drawPath, type Line } from '../path-drawing.ts'
import { describePath, explainPath, hopsOf, type PeerKind } from '../path-hops.ts'
import type { Phase } from '../session.ts'
import type { Pair } from '../stats.ts'
import { announce, byId, create, setText } from './element.ts'

/** Changes of the path that are listed. */
const LONGEST = 6

/** The drawn path, and what it was before. */
export class PathView {
  readonly #svg = byId<SVGSVGElement>('path-drawing')
  readonly #history = byId('path-history')
  readonly #words = byId('path-words')
  readonly #card = byId('path')
  #selected: Pair | undefined
  #phase: Phase | undefined
  #peer: PeerKind
  #drawn = ''
  /** Id of the pair that the history begins with. */
  #latest = ''

  constructor() {
    new ResizeObserver(() => this.#draw()).observe(this.#card)
  }

  update(pair: Pair | undefined, phase: Phase | undefined, peer: PeerKind): void {
    this.#selected = pair
    this.#phase = phase
    this.#peer = peer
    if (pair) this.#remember(pair.id, wordsFor(pair))
    const carries = phase === 'open' || phase === 'interrupted'
    setText(this.#words, pair && carries ? explainPath(pair) : '')
    this.#words.hidden = !pair || !carries
    this.#draw()
  }

  clear(): void {
    this.#history.replaceChildren()
    this.#history.hidden = true
    this.#latest = ''
    this.update(undefined, undefined, undefined)
  }

  #remember(id: string, words: string): void {
    const entry = create('li', '', create('time', '', new Date().toLocaleTimeString()), ` ${words}`)
    if (id === this.#latest) {
      // The same pair under a better name: a peer-reflexive address of which the candidate has come.
      if (!this.#history.firstElementChild?.textContent?.endsWith(words))
        this.#history.firstElementChild?.replaceWith(entry)
      return
    }
    const changed = this.#latest !== ''
    this.#latest = id
    this.#history.prepend(entry)
    while (this.#history.childElementCount > LONGEST) this.#history.lastElementChild?.remove()
    this.#history.hidden = this.#history.childElementCount < 2
    if (!changed) return
    announce(`The path has changed to ${words}`)
    this.#card.classList.remove('changed')
    void this.#card.offsetWidth // restarts the animation
    this.#card.classList.add('changed')
  }

  #draw(): void {
    const style = getComputedStyle(this.#card)
    const width = Math.floor(this.#card.clientWidth - Number.parseFloat(style.paddingLeft) * 2)
    const hops = hopsOf(this.#selected, this.#peer)
    const line = lineFor(this.#phase, this.#selected)
    const key = JSON.stringify([width, hops, line])
    if (width <= 0 || key === this.#drawn) return
    this.#drawn = key
    this.#svg.setAttribute('aria-label', describePath(this.#selected, this.#peer))
    drawPath(this.#svg, hops, line, width)
  }
}

function wordsFor({ local, remote }: Pair): string {
  return `${local.type} ${shortAddress(local.address)} – ${remote.type} ${shortAddress(remote.address)}`
}

function lineFor(phase: Phase | undefined, pair: Pair | undefined): Line {
  if (phase === 'connecting') return { state: 'searching', caption: 'searching' }
  if (phase !== 'open' && phase !== 'interrupted') return { state: 'none', caption: '' }
  if (phase === 'interrupted') return { state: 'interrupted', caption: 'interrupted' }
  const parts = [pair?.local.protocol, pair?.roundTripTime !== undefined && formatMilliseconds(pair.roundTripTime)]
  return { state: 'open', caption: parts.filter(Boolean).join(' · ') }
}
