import { type ParseArgsConfig, parseArgs } from 'node:util'
import { usageError } from './failure.ts'

/** `parseArgs` whose complaints say which help to read. */
export function parseOptions<Config extends ParseArgsConfig>(
  command: string,
  config: Config,
): ReturnType<typeof parseArgs<Config>> {
  try {
    return parseArgs<Config>(config)
  } catch (error) {
    throw usageError((error as Error).message.replace(/\. To specify.*/s, '.'), command)
  }
}

/** A whole number within bounds. */
export function parseInteger(command: string, name: string, text: string, minimum: number, maximum: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= minimum && value <= maximum) return value
  throw usageError(`--${name} wants a whole number from ${minimum} to ${maximum}, not '${text}'.`, command)
}

/** Seconds, fractions allowed, as milliseconds. */
export function parseSeconds(command: string, name: string, text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (value <= 2_000_000) return value * 1000 // what a Node timer can hold
  throw usageError(`--${name} wants seconds, such as 30 or 0.5, not '${text}'.`, command)
}

const UNITS = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 } as const

/** `500M`, `2G` or plain bytes. */
export function parseSize(command: string, name: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kmgt]?)b?$/i.exec(text)
  if (match === null) throw usageError(`--${name} wants a size, such as 500M or 2G, not '${text}'.`, command)
  return Math.floor(Number(match[1]) * UNITS[match[2]!.toLowerCase() as keyof typeof UNITS])
}
