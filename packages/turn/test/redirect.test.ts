import { describe, expect, test } from 'vitest'
import { isAllowedPort, LIMITS, RedirectGuard } from '../src/index.ts'

const first = { ip: '192.0.2.1', port: 3478 }
const at = (ip: string, port = 3478) => ({ ip, port })

describe('I73 redirects', () => {
  test('to servers on the internet are followed, so many of them', () => {
    const guard = new RedirectGuard(first, 'udp')
    for (let hop = 1; hop <= LIMITS.redirects; hop++)
      expect(guard.refuse(at(`192.0.2.${hop + 1}`), 'udp')).toBeUndefined()
    expect(guard.refuse(at('192.0.2.99'), 'udp')).toContain('redirects in a row')
  })

  test('to where we have been are loops: itself, ping-pong, repetition; another port is another server', () => {
    const guard = new RedirectGuard(first, 'tcp')
    expect(guard.refuse(at('192.0.2.1'), 'tcp')).toContain('loop')
    expect(guard.refuse(at('192.0.2.2'), 'tcp')).toBeUndefined()
    expect(guard.refuse(at('192.0.2.1'), 'tcp')).toContain('loop')
    expect(guard.refuse(at('192.0.2.2'), 'tcp')).toContain('loop')
    expect(guard.refuse(at('192.0.2.2', 443), 'tcp')).toBeUndefined()
  })

  test('that were refused do not count as visited', () => {
    const guard = new RedirectGuard(first, 'tls')
    expect(guard.refuse(at('192.0.2.2'), 'tcp')).toContain('transport')
    expect(guard.refuse(at('192.0.2.2'), 'tls')).toBeUndefined()
  })

  test.each(['127.0.0.1', '127.9.9.9', '0.0.0.0', '169.254.169.254', '224.0.0.1', '255.255.255.255'])(
    'to %s are refused',
    (ip) => expect(new RedirectGuard(first, 'udp').refuse(at(ip), 'udp')).toContain('no server on the internet'),
  )

  test.each(['::1', '::', 'fe80::1', 'febf::1', 'ff02::1', '::ffff:127.0.0.1'])('to %s are refused', (ip) => {
    expect(new RedirectGuard(at('2001:db8::1'), 'udp').refuse(at(ip), 'udp')).toContain('no server on the internet')
  })

  test('of a server that a proxy knows by its name may lead to either family, and not to that machine itself', () => {
    const guard = new RedirectGuard(at('ff.turn.example'), 'tcp')
    expect(guard.refuse(at('2001:db8::1'), 'tcp')).toBeUndefined()
    expect(guard.refuse(at('192.0.2.2'), 'tcp')).toBeUndefined()
    expect(guard.refuse(at('127.0.0.1'), 'tcp')).toContain('no server on the internet')
  })

  test('on loopback are fine when the server is there already', () => {
    expect(new RedirectGuard(at('127.0.0.1'), 'udp').refuse(at('127.0.0.1', 3479), 'udp')).toBeUndefined()
  })

  test('to the other family are refused', () => {
    expect(new RedirectGuard(first, 'udp').refuse(at('2001:db8::1'), 'udp')).toContain('family')
    expect(new RedirectGuard(at('2001:db8::1'), 'udp').refuse(first, 'udp')).toContain('family')
  })

  test('to ports of other services are refused', () => {
    for (const port of [0, 22, 25, 110, 1023]) {
      expect(isAllowedPort(port)).toBe(false)
      expect(new RedirectGuard(first, 'udp').refuse(at('192.0.2.2', port), 'udp')).toContain('port')
    }
    for (const port of [53, 80, 443, 1024, 3478, 65_535]) expect(isAllowedPort(port)).toBe(true)
    expect(isAllowedPort(65_536)).toBe(false)
  })
})
