/** One decision of the agent, for humans and for replay: what, about what, and why. */
export interface LogEntry {
  readonly now: number
  readonly event: string
  readonly detail: string
  readonly reason?: string
}

export function entryOf(now: number, event: string, detail: string, reason: string | undefined): LogEntry {
  return { now, event, detail, ...(reason !== undefined && { reason }) }
}
