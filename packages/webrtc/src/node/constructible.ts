/** Web IDL interfaces without a constructor operation: only who has this key can make their objects. */
export const constructible: unique symbol = Symbol('constructible')
export type Constructible = typeof constructible

/** Throws TypeError, as `new` does on such an interface. */
export function assertConstructible(key: unknown, origin: string): void {
  if (key !== constructible) throw new TypeError(`Illegal constructor: ${origin}`)
}
