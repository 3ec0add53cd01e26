import type { Result } from './matrix.ts'
import { TYPE_NAMES } from './matrix.ts'

const SIZE = 46
const MARGIN = { left: 118, top: 96 }
const COLORS = { direct: '#4a9d5b', relay: '#e0a63a', none: '#c9c9c9' } as const

/** The grid of one kind of peers: green direct, yellow relayed, grey nothing; the figure is milliseconds to the first byte. */
export function picture(title: string, results: readonly Result[]): string {
  const names = TYPE_NAMES.filter((name) => results.some(({ places }) => places.includes(name)))
  const side = names.length * SIZE
  const cells = results.map(({ places: [a, b], route, firstByte, pairs }) => {
    const x = MARGIN.left + names.indexOf(b) * SIZE
    const y = MARGIN.top + names.indexOf(a) * SIZE
    return [
      `<rect x="${x + 1}" y="${y + 1}" width="${SIZE - 2}" height="${SIZE - 2}" rx="4" fill="${COLORS[route]}">`,
      `<title>${a} ↔ ${b}: ${route}, ${pairs.join(' / ')}</title></rect>`,
      `<text x="${x + SIZE / 2}" y="${y + SIZE / 2 + 4}" text-anchor="middle" fill="#fff">${firstByte ?? ''}</text>`,
    ].join('')
  })
  const rows = names.map(
    (name, i) =>
      `<text x="${MARGIN.left - 6}" y="${MARGIN.top + i * SIZE + SIZE / 2 + 4}" text-anchor="end">${name}</text>`,
  )
  const columns = names.map((name, i) => {
    const [x, y] = [MARGIN.left + i * SIZE + SIZE / 2, MARGIN.top - 6]
    return `<text x="${x}" y="${y}" transform="rotate(-45 ${x} ${y})">${name}</text>`
  })
  const [width, height] = [MARGIN.left + side + 60, MARGIN.top + side + 8]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">
<rect width="${width}" height="${height}" fill="#fff"/>
<text x="8" y="18" font-size="14">${title}</text>
${legend()}
${[...rows, ...columns, ...cells].join('\n')}
</svg>
`
}

/** What colours and figures mean. */
function legend(): string {
  const words = { direct: 'direct', relay: 'relayed', none: 'nothing' } as const
  const lines = (Object.keys(words) as (keyof typeof words)[]).map(
    (route, i) => `<text x="8" y="${36 + 14 * i}" fill="${COLORS[route]}">■ ${words[route]}</text>`,
  )
  return [...lines, '<text x="8" y="78">ms to first data; rows offer</text>'].join('\n')
}
