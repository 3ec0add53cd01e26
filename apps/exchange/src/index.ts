export { ExchangeError, type ExchangeErrorCode, ExchangeErrorEvent } from './errors.ts'
export { Exchange, type ExchangeConnection } from './exchange.ts'
export type { IncomingFile } from './incoming.ts'
export type { FileSource, SendOptions } from './outgoing.ts'
