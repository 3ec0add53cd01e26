import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { addressScope } from '@floe/ice'
import { describe, expect, test } from 'vitest'
import { claimPort, turnAddresses } from '../src/turn/addresses.ts'
import { coturnConfig } from '../src/turn/config.ts'
import { peerRules, rangeOf } from '../src/turn/peer-rules.ts'

const OWN = [
  { address: '127.0.0.1', cidr: '127.0.0.1/8' },
  { address: '192.168.7.5', cidr: '192.168.7.5/24' },
  { address: 'fd00::5', cidr: 'fd00::5/64' },
  { address: '198.18.0.1', cidr: '198.18.0.1/15' },
] as NetworkInterfaceInfo[]

function allowed(lines: readonly string[]): string[] {
  return lines.filter((line) => line.startsWith('allowed-peer-ip=')).map((line) => line.split('=')[1]!)
}

describe('whom a relay may send to', () => {
  test('on loopback: everybody whom this machine reaches, itself included', () => {
    const rules = peerRules(['127.0.0.1'], OWN, false)
    expect(rules).toContain('allow-loopback-peers')
    expect(rules).not.toContain('denied-peer-ip=192.168.0.0-192.168.255.255')
  })

  test('on loopback with a public address in front of it: this machine is off limits', () => {
    expect(peerRules(['127.0.0.1'], OWN, true)).not.toContain('allow-loopback-peers')
  })

  test('in private networks: those networks, not the others', () => {
    const rules = peerRules(['192.168.7.5', 'fd00::5'], OWN, false)
    expect(allowed(rules)).toEqual(['192.168.7.0-192.168.7.255', 'fd00::-fd00::ffff:ffff:ffff:ffff'])
    expect(rules).toContain('denied-peer-ip=192.168.0.0-192.168.255.255')
    expect(rules).not.toContain('allow-loopback-peers')
  })

  test.each<[string, string[], boolean]>([
    ['behind a public address', ['192.168.7.5'], true],
    ['with a public address beside a private one', ['192.168.7.5', '8.8.8.8'], false],
  ])('%s: the relay itself, and no private network', (_name, ips, isPublic) => {
    const rules = peerRules(ips, OWN, isPublic)
    expect(allowed(rules)).toEqual(ips.map((ip) => `${ip}-${ip}`))
  })

  test.each([['127.0.0.1'], ['192.168.7.5'], ['8.8.8.8']])('at %s: no metadata service, no multicast', (ip) => {
    const rules = peerRules([ip], OWN, false)
    expect(rules).toContain('no-multicast-peers')
    expect(rules).toContain('denied-peer-ip=169.254.0.0-169.254.255.255')
    expect(rules).toContain('denied-peer-ip=fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff')
  })
})

test.each([
  ['10.0.0.0/8', '10.0.0.0-10.255.255.255'],
  ['172.16.5.1/12', '172.16.0.0-172.31.255.255'],
  ['192.0.2.7/32', '192.0.2.7-192.0.2.7'],
  ['::/127', '::-::1'],
  ['2001::/32', '2001::-2001:0:ffff:ffff:ffff:ffff:ffff:ffff'],
])('%s is %s', (network, range) => expect(rangeOf(network)).toBe(range))

test('the configuration says where to listen, what to relay, and how the world sees it', () => {
  const where = { folder: '/tmp/x', ips: ['192.168.7.5'], port: 3478, externalIp: '203.0.113.7' }
  const lines = coturnConfig({ ...where, relayPorts: [50_000, 50_999], secret: 'north', tls: undefined }).split('\n')
  for (const line of [
    'listening-port=3478',
    'listening-ip=192.168.7.5',
    'external-ip=203.0.113.7/192.168.7.5',
    'min-port=50000',
    'max-port=50999',
    'use-auth-secret',
    'static-auth-secret=north',
    'no-cli',
    'no-tcp-relay',
  ]) {
    expect(lines).toContain(line)
  }
})

describe('where it listens', () => {
  test('at the address of the HTTP server', async () => {
    expect(await turnAddresses('192.0.2.7')).toEqual(['192.0.2.7'])
  })

  test('at one address per family where that listens everywhere', async () => {
    const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses?.map(({ address }) => address))
    for (const everywhere of ['0.0.0.0', '::']) {
      const ips = await turnAddresses(everywhere)
      expect(ips.length).toBeGreaterThan(0)
      for (const ip of ips) expect(own).toContain(ip)
      expect(ips.map(addressScope)).not.toContain('unspecified')
    }
  })

  test('at a port that is free over UDP and TCP', async () => {
    const port = await claimPort(['127.0.0.1', '127.0.0.2'], 0)
    expect(await claimPort(['127.0.0.1'], port)).toBe(port)
  })
})
