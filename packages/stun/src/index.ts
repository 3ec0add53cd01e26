/**
 * @floe/stun: RFC 8489 messages, credentials and client transactions, without sockets or clocks.
 * @module
 */
export {
  addressFamily,
  bytesToIp,
  canonicalIp,
  formatAddress,
  ipToBytes,
  isIPv4,
  isIPv6,
  networkOf,
  parseAddress,
  sameAddress,
  withoutScope,
} from './address.ts'
export { type AttributeName, type Attributes, attributeName, isComprehensionRequired } from './attributes.ts'
export { decode, diagnose, type MalformedReason } from './decode.ts'
export { type EncodeOptions, encode } from './encode.ts'
export { StunError, type StunErrorCode } from './error.ts'
export {
  type IntegrityKey,
  longTermKey,
  type SignedMessage,
  shortTermKey,
  userhash,
  verifyIntegrity,
} from './integrity.ts'
export type { Address, Machine, Packet } from './machine.ts'
export {
  type DecodedMessage,
  formatTransactionId,
  isStun,
  type Message,
  type MessageClass,
  type Method,
  newTransactionId,
  type TransactionId,
  transactionIdAt,
} from './message.ts'
export { Outbox } from './outbox.ts'
export type { PortReport } from './port-report.ts'
export { INITIAL_RTO, RttEstimator } from './rtt.ts'
export { RC, RM, TI, Transaction, type TransactionOptions, type TransactionOutput } from './transaction.ts'
export { parseStunUri, parseTurnUri, type ServerUri } from './uri.ts'
export type {
  AddressErrorCode,
  ChangeRequest,
  ErrorCode,
  IcmpReport,
  NetworkInfo,
  PasswordAlgorithm,
} from './values.ts'
