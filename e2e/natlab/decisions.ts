import type { Decision } from './peer/node-peer.ts'

const COLUMN = 74

/** The decisions of both ends side by side, in order of time, which is milliseconds since the first of them. */
export function sideBySide(a: readonly Decision[], b: readonly Decision[]): string {
  const merged = [
    ...a.map((decision) => ({ ...decision, left: true })),
    ...b.map((decision) => ({ ...decision, left: false })),
  ].sort((one, other) => one.at - other.at)
  const start = merged[0]?.at ?? 0
  const lines = merged.flatMap(({ at, text, left }) =>
    folded(text).map((part, i) => {
      const time = i === 0 ? (at - start).toFixed(1).padStart(9) : ' '.repeat(9)
      return left ? `${time}  ${part}` : `${time}  ${' '.repeat(COLUMN)}${part}`
    }),
  )
  return lines.length > 0 ? lines.join('\n') : '(neither end tells of its decisions)'
}

/** In pieces that fit into a column. */
function folded(text: string): string[] {
  return text.match(new RegExp(`.{1,${COLUMN - 2}}`, 'g')) ?? ['']
}
