import type { Route } from './encounter.ts'

/** How a route looks in a table. */
export const MARKS: Readonly<Record<Route, string>> = { direct: '●', relay: '◐', none: '○' }
