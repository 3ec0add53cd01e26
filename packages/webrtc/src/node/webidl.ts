/** How Web IDL turns what JavaScript hands over into what an interface declares (Web IDL §3.2). */

/** `[EnforceRange] unsigned short` and wider. Throws TypeError. */
export function enforceRange(value: unknown, maximum: number, what: string): number {
  const number = Math.trunc(Number(value))
  if (Number.isFinite(number) && number >= 0 && number <= maximum) return number + 0
  throw new TypeError(`${what} has to be a number from 0 to ${maximum}, not ${String(value)}`)
}

/** `unsigned short`, `unsigned long`: without an extended attribute numbers wrap around. `bits` 16 or 32. */
export function wrapAround(value: unknown, bits: 16 | 32): number {
  return bits === 32 ? Number(value) >>> 0 : Number(value) & 0xffff
}

/** `USVString`: lone surrogates become U+FFFD. */
export function usvString(value: unknown): string {
  return Buffer.from(String(value)).toString()
}

/** An enumeration. Throws TypeError. */
export function oneOf<Value extends string>(value: unknown, values: readonly Value[], what: string): Value {
  const text = String(value)
  if ((values as readonly string[]).includes(text)) return text as Value
  throw new TypeError(`${what} can be ${values.map((each) => `'${each}'`).join(', ')}, not '${text}'`)
}

/** A dictionary: undefined and null stand for an empty one. Throws TypeError for what is no object. */
export function dictionary<Type extends object>(value: Type | null | undefined, what: string): Type {
  if (value === undefined || value === null) return {} as Type
  if (typeof value === 'object' || typeof value === 'function') return value
  throw new TypeError(`${what} has to be an object, not ${String(value)}`)
}

/** An interface object (Web IDL §3.7): its name is the class string of its objects, and its members are enumerable. */
export function defineInterface({ name, prototype }: { readonly name: string; readonly prototype: object }): void {
  for (const [member, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    if (member !== 'constructor') Object.defineProperty(prototype, member, { ...descriptor, enumerable: true })
  }
  Object.defineProperty(prototype, Symbol.toStringTag, { value: name, configurable: true })
}
