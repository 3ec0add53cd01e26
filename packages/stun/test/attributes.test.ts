import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TABLE } from '../src/attributes.ts'
import {
  type Address,
  type AttributeName,
  type Attributes,
  attributeName,
  canonicalIp,
  decode,
  encode,
  type Message,
  type PasswordAlgorithm,
} from '../src/index.ts'

/** Objects as a caller writes them; fast-check likes them without a prototype, too. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(model, { noNullPrototype: true })
const text = (bytes: number) => fc.string({ unit: 'grapheme', maxLength: Math.floor(bytes / 40) })
const uint = (max: number) => fc.oneof(fc.constantFrom(0, 1, max), fc.nat({ max }))
const uint32 = uint(0x7fffffff).map((value) => value * 2 + 1)
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const blob = fc.uint8Array({ maxLength: 40 })
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const family = fc.constantFrom(4 as const, 6 as const)
const flag = fc.constant(true as const)
const errorCode = record({ code: fc.integer({ min: 300, max: 699 }), reason: text(127) })
const passwordAlgorithm: fc.Arbitrary<PasswordAlgorithm> = record({ algorithm: uint(0xffff), parameters: blob })
const address: fc.Arbitrary<Address> = record({
  ip: fc.oneof(fc.ipV4(), fc.ipV6()).map((ip) => canonicalIp(ip)!),
  port: uint(0xffff),
})

/** One arbitrary per attribute: a new row without one does not compile. */
const addressErrorCode = record({ family, code: fc.integer({ min: 300, max: 699 }), reason: text(127) })

const ARBITRARIES: { [N in AttributeName]-?: fc.Arbitrary<NonNullable<Attributes[N]>> } = {
  additionalAddressFamily: family,
  addressErrorCode,
  alternateDomain: text(255),
  alternateServer: address,
  changeRequest: record({ changeIp: fc.boolean(), changePort: fc.boolean() }),
  channelNumber: uint(0xffff),
  data: blob,
  dontFragment: flag,
  errorCode,
  evenPort: record({ reserveNext: fc.boolean() }),
  iceControlled: uint64,
  iceControlling: uint64,
  icmp: record({ type: uint(0x7f), code: uint(0x1ff), data: uint32 }),
  lifetime: uint32,
  mappedAddress: address,
  mobilityTicket: blob,
  networkInfo: record({ id: uint(0xffff), cost: uint(0xffff) }),
  nomination: uint32,
  nonce: text(763),
  otherAddress: address,
  padding: blob,
  passwordAlgorithm,
  passwordAlgorithms: fc.array(passwordAlgorithm, { maxLength: 4 }),
  filler: blob,
  portReport: record({
    willing: fc.boolean(),
    mapping: fc.constantFrom('unknown', 'endpoint-independent', 'endpoint-dependent'),
    sockets: uint(0xffff),
    address: record({ ip: fc.ipV4(), port: uint(0xffff) }),
    low: uint(0xffff),
    high: uint(0xffff),
    aim: uint(0xffff),
  }),
  priority: uint32,
  realm: text(763),
  requestedAddressFamily: family,
  requestedTransport: uint(0xff),
  reservationToken: bytes(8),
  responseOrigin: address,
  responsePort: uint(0xffff),
  software: text(763),
  ssodaAddressFamily: family,
  ssodaErrorCode: addressErrorCode,
  unknownAttributes: fc.array(uint(0xffff), { maxLength: 9 }),
  useCandidate: flag,
  userhash: bytes(32),
  username: text(508),
  xorMappedAddress: address,
  xorPeerAddress: fc.array(address, { minLength: 1, maxLength: 3 }),
  xorRelayedAddress: fc.array(address, { minLength: 1, maxLength: 3 }),
}

function message(attributes: Attributes, id = 'abcdefghijkl'): Message {
  return { method: 'allocate', class: 'request', transactionId: id, attributes }
}

describe('encode, then decode, gives the same', () => {
  test.each(Object.keys(ARBITRARIES) as AttributeName[])('%s', (name) => {
    fc.assert(
      fc.property(ARBITRARIES[name] as fc.Arbitrary<never>, bytes(12), (value, id) => {
        const original = message({ [name]: value }, String.fromCharCode(...id))
        const decoded = decode(encode(original))
        expect(decoded).toMatchObject(original)
        expect(decoded!.attributes).toStrictEqual(original.attributes)
      }),
    )
  })

  test('any selection of them, in its order', () => {
    const selection = fc.record(ARBITRARIES as { [N in AttributeName]: fc.Arbitrary<unknown> }, {
      requiredKeys: [],
      noNullPrototype: true,
    })
    fc.assert(
      fc.property(selection as fc.Arbitrary<Attributes>, (attributes) => {
        const decoded = decode(encode(message(attributes)))!
        expect(decoded.attributes).toStrictEqual(attributes)
        expect(Object.keys(decoded.attributes)).toStrictEqual(Object.keys(attributes))
        expect(encode(decoded)).toStrictEqual(encode(message(attributes)))
      }),
    )
  })
})

test('no type and no name is there twice', () => {
  expect(new Set(TABLE.map(({ type }) => type)).size).toBe(TABLE.length)
  expect(new Set(TABLE.map(({ name }) => name)).size).toBe(TABLE.length)
})

describe('names are those of the IANA registry', () => {
  const registry = new Map(
    readFileSync(new URL('data/iana-stun-attributes.csv', import.meta.url), 'utf8')
      .trim()
      .split('\n')
      .map((line) => [Number(line.split(',')[0]), line.split(',')[1]!]),
  )
  /** Where usage has left the registry behind. */
  const known = new Map([
    [0xc001, 'NOMINATION'],
    [0xf10e, 'FLOE-PORT-REPORT'],
    [0xf10f, 'FLOE-FILLER'],
    [0x8032, 'SSODA-ADDRESS-FAMILY'],
    [0x8033, 'SSODA-ERROR-CODE'],
  ])

  test.each(TABLE.map(({ type }) => type))('%i', (type) => {
    expect(attributeName(type)).toBe(known.get(type) ?? registry.get(type))
  })

  test('also for those that are not in the table', () => {
    for (const [type, name] of registry) {
      if (!attributeName(type).startsWith('0x') && !known.has(type)) expect(attributeName(type)).toBe(name)
    }
    expect(attributeName(0x8)).toBe('MESSAGE-INTEGRITY')
    expect(attributeName(0x7ffe)).toBe('0x7ffe')
  })
})
