/** A table in Markdown. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** For a cell: the median, `-` of nothing. */
export function middle(values: readonly number[]): number | string {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? '-'
}

/** For a cell: the greatest, `-` of nothing. */
export function most(values: readonly number[]): number | string {
  return values.length > 0 ? Math.max(...values) : '-'
}
