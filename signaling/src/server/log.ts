/** Structured logs: one flat record per event, made for `JSON.stringify`. Never holds a secret, a token or a message. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface LogRecord {
  readonly level: LogLevel
  readonly event:
    | 'listening'
    | 'refused' // a connection, before it could say who it is
    | 'rejected' // a client, with `code`
    | 'joined'
    | 'resumed'
    | 'left'
    | 'flooding' // more than its rate: once per connection
    | 'draining'
    | 'stopped'
    | 'cluster' // what happens between servers, see `state`
  readonly [field: string]: string | number | boolean | undefined
}

/** Called for every record, in the turn in which it happens: it must not throw, and hand over rather than wait. */
export type Log = (record: LogRecord) => void

export const silent: Log = () => {}
