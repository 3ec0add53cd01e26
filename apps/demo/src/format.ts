/** Numbers for people: short, and of stable width while they change. */

export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  const units = ['kB', 'MB', 'GB', 'TB'] as const
  let value = bytes / 1000
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${value < 9.95 ? value.toFixed(1) : value.toFixed(0)} ${units[unit]}`
}

export function formatMilliseconds(ms: number): string {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`
  return ms < 10_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(0)} s`
}

/** mDNS names are 36 random characters, whose beginning tells them apart; of long IPv6 addresses both ends matter. */
export function shortAddress(address: string): string {
  const short = address.replace(/^([0-9a-f]{8})-[0-9a-f-]{27}\.local/, '$1….local')
  return short.length > 28 ? `${short.slice(0, 12)}…${short.slice(-14)}` : short
}
