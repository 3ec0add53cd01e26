import { expect, test } from 'vitest'
import type { InterfaceKind } from '../../src/node/index.ts'
import { networkInfo } from '../../src/node/network-cost.ts'

test.each<[name: string, kind: InterfaceKind, cost: number]>([
  ['eth0', 'ordinary', 0],
  ['enp3s0', 'ordinary', 0],
  ['enx001122334455', 'ordinary', 0],
  ['Ethernet 2', 'ordinary', 0],
  ['lo', 'loopback', 0],
  ['wlan0', 'ordinary', 10],
  ['wlp2s0', 'ordinary', 10],
  ['Wi-Fi', 'ordinary', 10],
  ['en0', 'ordinary', 50],
  ['br-lan', 'virtual', 50],
  ['docker0', 'virtual', 50],
  ['wg0', 'vpn', 51],
  ['tun0', 'vpn', 51],
  ['utun3', 'vpn', 51],
  ['ppp0', 'vpn', 900],
  ['wwan0', 'ordinary', 900],
  ['wwp0s20u4', 'ordinary', 900],
  ['rmnet_data0', 'ordinary', 900],
])('%s (%s) costs %i', (name, kind, cost) => {
  expect(networkInfo({ name, kind }).cost).toBe(cost)
})

test('each interface has a number of its own, and keeps it', () => {
  const [a, b, again] = ['eth0', 'wlan0', 'eth0'].map((name) => networkInfo({ name, kind: 'ordinary' }).id)
  expect(a).toBe(again)
  expect(a).not.toBe(b)
  expect(Math.min(a!, b!)).toBeGreaterThan(0)
})
