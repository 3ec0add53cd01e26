import { shortAddress } from './format.ts'
import type { Hop } from './path-hops.ts'

/** What is written beside the line, and how the line looks. */
export interface Line {
  readonly state: 'none' | 'searching' | 'open' | 'interrupted'
  /** Such as `udp · 1.2 ms`. */
  readonly caption: string
}

interface Point {
  readonly x: number
  readonly y: number
}

const SVG = 'http://www.w3.org/2000/svg'
const RADIUS = 26
const ICON = 26
/** With less width than this per station, in CSS pixels, they stand under each other, with their words beside them. */
const STATION_WIDTH = 220

/**
 * Draws the stations and the line through them into `svg`, for a width in CSS pixels. Everything is drawn anew: this
 * happens when the path changes, once per second at most.
 */
export function drawPath(svg: SVGSVGElement, hops: readonly Hop[], line: Line, width: number): void {
  const narrow = width < hops.length * STATION_WIDTH
  const height = narrow ? hops.length * 92 - 28 : hops.some(({ address }) => address) ? 144 : 124
  const points = hops.map((_, i) => position(i, hops.length, width, narrow))
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`)
  svg.setAttribute('width', String(width))
  svg.setAttribute('height', String(height))
  svg.setAttribute('class', `path-drawing ${line.state}`)
  svg.replaceChildren(
    ...segments(points, narrow),
    ...(narrow ? narrowCaption(points, line) : wideCaption(points, line)),
    ...hops.flatMap((hop, i) => station(hop, points[i]!, narrow)),
  )
}

function position(index: number, count: number, width: number, narrow: boolean): Point {
  if (narrow) return { x: RADIUS + 6, y: RADIUS + 6 + index * 92 }
  const margin = Math.min(110, width / 6)
  return { x: margin + (index * (width - 2 * margin)) / (count - 1), y: 58 }
}

function segments(points: readonly Point[], narrow: boolean): SVGElement[] {
  return points.slice(1).flatMap((to, i) => {
    const from = points[i]!
    const gap = RADIUS + 5
    const d = narrow ? `M${from.x} ${from.y + gap}V${to.y - gap}` : `M${from.x + gap} ${from.y}H${to.x - gap}`
    return [element('path', { d, class: 'segment' }), element('path', { d, class: 'segment flow' })]
  })
}

function wideCaption(points: readonly Point[], { caption }: Line): SVGElement[] {
  const middle = (points[0]!.x + points[1]!.x) / 2
  // Between two stations in the middle of the drawing; with more of them, over the first stretch.
  return caption ? [text(caption, { x: middle, y: 42, class: 'caption', 'text-anchor': 'middle' })] : []
}

function narrowCaption(points: readonly Point[], { caption }: Line): SVGElement[] {
  const [first, second] = points
  return caption
    ? [text(caption, { x: first!.x + RADIUS + 14, y: (first!.y + second!.y) / 2 + 4, class: 'caption' })]
    : []
}

function station({ kind, label, type, address }: Hop, { x, y }: Point, narrow: boolean): SVGElement[] {
  const anchor = narrow ? 'start' : 'middle'
  const textX = narrow ? x + RADIUS + 14 : x
  const baseline = narrow ? y - (address ? 5 : -5) : y + RADIUS + 24
  const icon = element('use', { href: `#icon-${kind}`, x: x - ICON / 2, y: y - ICON / 2, width: ICON, height: ICON })
  return [
    element('circle', { cx: x, cy: y, r: RADIUS, class: `station ${kind}` }),
    icon,
    text(type ? `${label} · ${type}` : label, { x: textX, y: baseline, class: 'label', 'text-anchor': anchor }),
    ...(address
      ? [text(shortAddress(address), { x: textX, y: baseline + 20, class: 'address', 'text-anchor': anchor })]
      : []),
  ]
}

function text(content: string, attributes: Record<string, string | number>): SVGElement {
  const node = element('text', attributes)
  node.textContent = content
  return node
}

function element(name: string, attributes: Record<string, string | number>): SVGElement {
  const node = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value))
  return node
}
