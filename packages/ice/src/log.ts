/** One decision of the agent, for humans and for replay: what, about what, and why. */
export interface LogEntry {
  readonly now: number
  readonly event: string
  readonly detail: string
  readonly reason?: string
}
