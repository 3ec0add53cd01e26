import type { BrowserName } from './browsers.ts'

export interface KnownFailure {
  readonly browser: BrowserName
  /** Name of a scenario in scenarios.ts. */
  readonly scenario: string
  /** What in the browser makes it fail. */
  readonly reason: string
}

/** Run all the same, and expected to fail: one that starts to work fails the suite, and leaves this table. */
export const KNOWN_FAILURES: readonly KnownFailure[] = []
