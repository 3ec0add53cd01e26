import { portReport } from './port-report.ts'
import * as value from './values.ts'

/**
 * The protocol's vocabulary: one row per attribute, its type on the wire, our name, its format.
 * `Attributes` is inferred from it, decode and encode run on it. To teach floe an attribute, add a row.
 */
export const TABLE = [
  // RFC 8489
  row(0x0001, 'mappedAddress', value.address),
  row(0x0006, 'username', value.text(508)),
  row(0x0009, 'errorCode', value.errorCode),
  row(0x000a, 'unknownAttributes', value.types),
  row(0x0014, 'realm', value.text(763)),
  row(0x0015, 'nonce', value.text(763)),
  row(0x001d, 'passwordAlgorithm', value.passwordAlgorithm),
  row(0x001e, 'userhash', value.blob(32)),
  row(0x0020, 'xorMappedAddress', value.xorAddress),
  row(0x8002, 'passwordAlgorithms', value.passwordAlgorithms),
  row(0x8003, 'alternateDomain', value.text(255)),
  row(0x8022, 'software', value.text(763)),
  row(0x8023, 'alternateServer', value.address),
  // RFC 8445, and the NOMINATION of draft-thatcher-ice-renomination and GOOG-NETWORK-INFO as libwebrtc sends them
  row(0x0024, 'priority', value.uint32),
  row(0x0025, 'useCandidate', value.flag),
  row(0x8029, 'iceControlled', value.uint64),
  row(0x802a, 'iceControlling', value.uint64),
  row(0xc001, 'nomination', value.uint32),
  row(0xc057, 'networkInfo', value.networkInfo, 'GOOG-NETWORK-INFO'),
  // RFC 8656. Requests may name several peers, and a dual allocation has two relayed addresses: these are lists.
  row(0x000c, 'channelNumber', value.shortAndReserved),
  row(0x000d, 'lifetime', value.uint32),
  row(0x0012, 'xorPeerAddress', value.repeated(value.xorAddress)),
  row(0x0013, 'data', value.blob()),
  row(0x0016, 'xorRelayedAddress', value.repeated(value.xorAddress)),
  row(0x0017, 'requestedAddressFamily', value.family),
  row(0x0018, 'evenPort', value.evenPort),
  row(0x0019, 'requestedTransport', value.byteAndReserved),
  row(0x001a, 'dontFragment', value.flag),
  row(0x0022, 'reservationToken', value.blob(8)),
  row(0x8000, 'additionalAddressFamily', value.family),
  row(0x8001, 'addressErrorCode', value.addressErrorCode),
  row(0x8004, 'icmp', value.icmp),
  // The numbers that ADDITIONAL-ADDRESS-FAMILY and ADDRESS-ERROR-CODE had in draft-martinsen-tram-ssoda; coturn never
  // learnt the ones of RFC 8656.
  row(0x8032, 'ssodaAddressFamily', value.family, 'SSODA-ADDRESS-FAMILY'),
  row(0x8033, 'ssodaErrorCode', value.addressErrorCode, 'SSODA-ERROR-CODE'),
  // Ours, between two floe agents alone: what one's NAT does with ports. Not registered, comprehension-optional.
  row(0xf10e, 'portReport', portReport, 'FLOE-PORT-REPORT'),
  // Ours too: RFC 5780's PADDING is comprehension-required, so that nobody who does not know it would answer.
  row(0xf10f, 'filler', value.blob(), 'FLOE-FILLER'),
  // RFC 5780
  row(0x0003, 'changeRequest', value.changeRequest),
  row(0x0026, 'padding', value.blob()),
  row(0x0027, 'responsePort', value.shortAndReserved),
  row(0x802b, 'responseOrigin', value.address),
  row(0x802c, 'otherAddress', value.address),
  // RFC 8016
  row(0x8030, 'mobilityTicket', value.blob()),
] as const

/** The attributes of a message by name; integrity and fingerprint are not among them, the codec adds and checks those. */
export type Attributes = { readonly [R in (typeof TABLE)[number] as R['name']]?: ValueOf<R['codec']> }
export type AttributeName = keyof Attributes

/** MESSAGE-INTEGRITY (RFC 8489 §14.5). */
export const MESSAGE_INTEGRITY = 0x0008
/** MESSAGE-INTEGRITY-SHA256 (RFC 8489 §14.6). */
export const MESSAGE_INTEGRITY_SHA256 = 0x001c
/** FINGERPRINT (RFC 8489 §14.7). */
export const FINGERPRINT = 0x8028

/** A row as the codec sees it. */
export interface Row {
  /** Its place in the table. */
  readonly index: number
  readonly type: number
  readonly name: AttributeName
  readonly codec: value.Codec<unknown>
  readonly repeated: boolean
}

/** The RFC's name of an attribute type, for logs: `PRIORITY`, or `0x7ffe` when it is not known. */
export function attributeName(type: number): string {
  return RFC_NAMES.get(type) ?? `0x${type.toString(16).padStart(4, '0')}`
}

/** Comprehension-required: who does not know the attribute must not process the message (RFC 8489 §14). */
export function isComprehensionRequired(type: number): boolean {
  return type < 0x8000
}

export function rowOfType(type: number): Row | undefined {
  return type < 0x80 ? LOW[type] : type >= 0x8000 && type < 0x8080 ? HIGH[type - 0x8000] : OTHERS.get(type)
}

export function rowOfName(name: string): Row | undefined {
  return BY_NAME.get(name)
}

type ValueOf<C> = C extends value.RepeatedCodec<infer T> ? readonly T[] : C extends value.Codec<infer T> ? T : never

function row<const Name extends string, T, C extends value.Codec<T>>(
  type: number,
  name: Name,
  codec: C & value.Codec<T>,
  rfcName: string = name.replace(/[A-Z]/g, '-$&').toUpperCase(),
): { type: number; name: Name; codec: C; repeated: boolean; rfcName: string } {
  return { type, name, codec, repeated: 'repeated' in codec, rfcName }
}

const ROWS = TABLE.map((entry, index): Row & { readonly rfcName: string } => ({
  ...entry,
  index,
  codec: entry.codec as value.Codec<unknown>,
}))
const BY_NAME = new Map<string, Row>(ROWS.map((entry) => [entry.name, entry]))
// Nearly all types are below 0x80 in either half: two arrays spare the hot path a Map lookup per attribute.
const LOW: (Row | undefined)[] = new Array(0x80).fill(undefined)
const HIGH: (Row | undefined)[] = new Array(0x80).fill(undefined)
const OTHERS = new Map<number, Row>()
for (const entry of ROWS) {
  if (entry.type < 0x80) LOW[entry.type] = entry
  else if (entry.type >= 0x8000 && entry.type < 0x8080) HIGH[entry.type - 0x8000] = entry
  else OTHERS.set(entry.type, entry)
}

const RFC_NAMES = new Map<number, string>([
  ...ROWS.map((entry): [number, string] => [entry.type, entry.rfcName]),
  [MESSAGE_INTEGRITY, 'MESSAGE-INTEGRITY'],
  [MESSAGE_INTEGRITY_SHA256, 'MESSAGE-INTEGRITY-SHA256'],
  [FINGERPRINT, 'FINGERPRINT'],
  // Met on the wire, named in logs, and otherwise unknown to us.
  [0x001b, 'ACCESS-TOKEN'],
  [0x002a, 'CONNECTION-ID'],
  [0x8025, 'TRANSACTION_TRANSMIT_COUNTER'],
  [0x8027, 'CACHE-TIMEOUT'],
  [0x802d, 'ECN-CHECK'],
  [0x802e, 'THIRD-PARTY-AUTHORIZATION'],
  [0xc058, 'GOOG-LAST-ICE-CHECK-RECEIVED'],
  [0xc059, 'GOOG-MISC-INFO'],
  [0xc05c, 'GOOG-DELTA'],
  [0xc05d, 'GOOG-DELTA-ACK'],
  [0xc060, 'GOOG-MESSAGE-INTEGRITY-32'],
  [0xc070, 'DTLS-IN-STUN'],
  [0xc071, 'DTLS-IN-STUN-ACKNOWLEDGEMENT'],
])
