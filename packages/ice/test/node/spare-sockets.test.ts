import type { Packet } from '@floe/stun'
import { expect, test } from 'vitest'
import type { InterfaceAddress } from '../../src/node/interfaces.ts'
import { SpareSockets } from '../../src/node/spare-sockets.ts'

test('sockets go with the address of the machine that they are on, and others stay', async () => {
  const [gone, stays] = [host('127.0.0.1'), host('::1')]
  const spares = new SpareSockets({ handlePacket: () => {}, handleSocketError: () => {}, handleSocketDeath: () => {} })
  try {
    const [lost, kept] = [spares.open(gone, 2), spares.open(stays, 1)]
    expect(spares.closeOn([host('127.0.0.2')])).toEqual([])
    expect(spares.closeOn([gone])).toEqual(lost)
    const packet = (local: Packet['local']): Packet => ({
      protocol: 'udp',
      local,
      remote: local,
      bytes: new Uint8Array(1),
    })
    expect(lost.map((local) => spares.send(packet(local)))).toEqual([false, false])
    expect(spares.send(packet(kept[0]!))).toBe(true)
  } finally {
    await spares.closeAll()
  }
})

function host(ip: string): InterfaceAddress {
  const family = ip.includes(':') ? 6 : 4
  return { name: 'lo', ip, family, kind: 'loopback', defaultRoute: false, temporary: false }
}
