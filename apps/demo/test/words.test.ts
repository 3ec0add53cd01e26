import { ExchangeError } from '@floe/exchange'
import { ConnectError } from '@floe/webrtc'
import { expect, test } from 'vitest'
import { readInvitation, writeInvitation } from '../src/address-bar.ts'
import { formatBytes, formatMilliseconds, shortAddress } from '../src/format.ts'
import { Journal } from '../src/journal.ts'
import { BUSY, explain, explainTransfer } from '../src/messages.ts'

test('an invitation survives the address bar', () => {
  const invitation = { room: 'kitchen-table', secret: 'a&b=c #d', stun: 'stun:stun.example.org:3478' }
  expect(readInvitation(writeInvitation(invitation))).toEqual(invitation)
  expect(readInvitation(writeInvitation({ room: 'r' }))).toEqual({ room: 'r' })
  expect(readInvitation(writeInvitation({ room: 'r', relayOnly: true }))).toEqual({ room: 'r', relayOnly: true })
  expect(readInvitation('')).toBeUndefined()
  expect(readInvitation('#main')).toBeUndefined()
})

test.each([
  'ERR_CONNECT_TIMEOUT',
  'ERR_CONNECT_FAILED',
  'ERR_CONNECT_PEER_LEFT',
  'ERR_CONNECT_SIGNALING',
  'ERR_CONNECT_UNAUTHENTICATED',
] as const)('%s is explained without jargon, with what to do', (code) => {
  const { title, why, advice } = explain(new ConnectError(code, 'Engineers only'))
  for (const words of [title, why, advice]) {
    expect(words.length).toBeGreaterThan(8)
    expect(words).not.toMatch(/ERR_|Engineers|DTLS|SDP|undefined/)
  }
})

test('a peer that is busy is not one that left', () => {
  const { title } = explain(new ConnectError('ERR_CONNECT_PEER_LEFT', `The peer left: ${BUSY}`))
  expect(title).toBe('The other side is busy')
})

test('what nobody has thought of still says what it says', () => {
  const error = Object.assign(new Error('The moon is in the way.'), { hint: 'Wait for the tide.' })
  expect(explain(error)).toMatchObject({ why: 'The moon is in the way.', advice: 'Wait for the tide.' })
  expect(explain('just a string').why).toBe('just a string')
})

test('a transfer that ended early says who ended it', () => {
  expect(explainTransfer(new ExchangeError('ERR_EXCHANGE_REJECTED', 'declined'))).toBe('The other side declined it')
  expect(explainTransfer(new ExchangeError('ERR_EXCHANGE_CANCELLED', 'declined'))).toBe('Declined')
  expect(explainTransfer(new ExchangeError('ERR_EXCHANGE_CANCELLED', 'the sender cancelled: x'))).toBe(
    'The other side cancelled it',
  )
})

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [9_949, '9.9 kB'],
  [9_950, '10 kB'],
  [999_499, '999 kB'],
  [999_500, '1.0 MB'],
  [3.2e15, '3200 TB'],
])('%d bytes are %s', (bytes, words) => expect(formatBytes(bytes)).toBe(words))

test.each([
  [0.04, '0.0 ms'],
  [9.96, '10 ms'],
  [2803, '2803 ms'],
  [16_000, '16 s'],
])('%d milliseconds are %s', (ms, words) => expect(formatMilliseconds(ms)).toBe(words))

test('mDNS names and long addresses are shortened, ordinary addresses are not', () => {
  expect(shortAddress('[2001:db8:1111:2222:3333:4444:5555:6666]:65535')).toBe('[2001:db8:11…55:6666]:65535')
  expect(shortAddress('4f3a0c1e-0000-4000-8000-000000000000.local:1')).toBe('4f3a0c1e….local:1')
  expect(shortAddress('[fd00::2]:36785')).toBe('[fd00::2]:36785')
})

test('a journal of days keeps its beginning and its end', () => {
  const journal = new Journal()
  for (let i = 0; i < 1000; i++) journal.note(`event ${i}`)
  const names = journal.entries.map(({ what }) => what)
  expect(names).toHaveLength(400)
  expect([names[0], names[199], names[200], names[399]]).toEqual(['event 0', 'event 199', 'event 800', 'event 999'])
  expect(journal.dropped).toBe(600)
})
