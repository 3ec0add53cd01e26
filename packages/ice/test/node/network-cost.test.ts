import { expect, test } from 'vitest'
import type { InterfaceKind } from '../../src/node/index.ts'
import { networkInfo } from '../../src/node/network-cost.ts'

test.each<[name: string, kind: InterfaceKind, cost: number]>([
  ['eth0', 'ordinary', 900],
  ['enp3s0', 'ordinary', 900],
  ['enx001122334455', 'ordinary', 900],
  ['Ethernet 2', 'ordinary', 900],
  ['lo', 'loopback', 900],
  ['wlan0', 'ordinary', 910],
  ['wlp2s0', 'ordinary', 910],
  ['Wi-Fi', 'ordinary', 910],
  ['en0', 'ordinary', 950],
  ['br-lan', 'virtual', 950],
  ['docker0', 'virtual', 950],
  ['wg0', 'vpn', 951],
  ['tun0', 'vpn', 951],
  ['utun3', 'vpn', 951],
  ['ppp0', 'vpn', 999],
  ['wwan0', 'ordinary', 999],
  ['wwp0s20u4', 'ordinary', 999],
  ['rmnet_data0', 'ordinary', 999],
])('%s (%s) costs %i', (name, kind, cost) => {
  expect(networkInfo({ name, kind }).cost).toBe(cost)
})

test('each interface has a number of its own, and keeps it', () => {
  const [a, b, again] = ['eth0', 'wlan0', 'eth0'].map((name) => networkInfo({ name, kind: 'ordinary' }).id)
  expect(a).toBe(again)
  expect(a).not.toBe(b)
  expect(Math.min(a!, b!)).toBeGreaterThan(0)
})
