import { expect, test } from 'vitest'
import { isSeenThroughNat64 } from '../src/seen-through-nat64.ts'

const RELAY = { ip: '192.0.2.1', port: 50_000 }

test.each([
  ['the well-known prefix', '64:ff9b::c000:201', 50_000, true],
  ['a network’s own prefix', '2001:db8:64::c000:201', 50_000, true],
  ['a prefix of 64 bits', '2001:db8:64:1:c0:2:100:0', 50_000, true],
  ['a prefix of 56 bits', '2001:db8:64:c0:0:201::', 50_000, true],
  ['a prefix of 48 bits', '2001:db8:64:c000:2:100::', 50_000, true],
  ['a prefix of 40 bits', '2001:db8:64c0:2:1::', 50_000, true],
  ['a prefix of 32 bits', '2001:db8:c000:201::', 50_000, true],
  ['something in the reserved bits', '2001:db8:64:1:1c0:2:100:0', 50_000, false],
  ['another port', '64:ff9b::c000:201', 50_001, false],
  ['another address', '64:ff9b::c000:202', 50_000, false],
  ['the address itself', '192.0.2.1', 50_000, false],
])('a relay seen through NAT64: %s', (_, ip, port, expected) => {
  expect(isSeenThroughNat64(RELAY, { ip, port })).toBe(expected)
})

test('names and IPv6 addresses are seen as they are', () => {
  expect(isSeenThroughNat64({ ip: 'abc.local', port: 1 }, { ip: '64:ff9b::c000:201', port: 1 })).toBe(false)
  expect(isSeenThroughNat64({ ip: '2001:db8::1', port: 1 }, { ip: '2001:db8::1', port: 1 })).toBe(false)
})
