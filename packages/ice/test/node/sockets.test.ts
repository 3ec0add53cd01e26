import type { Packet } from '@floe/stun'
import { afterEach, describe, expect, test } from 'vitest'
import type { InterfaceAddress } from '../../src/node/interfaces.ts'
import { checkPortRange, openSockets, type SocketOwner, UdpSocket } from '../../src/node/sockets.ts'

const open: UdpSocket[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((socket) => socket.close()))
})

describe('UdpSocket', () => {
  test.each([loopback('127.0.0.1'), loopback('::1')])(
    'is bound when made and carries packets both ways on $ip',
    async (at) => {
      const [a, b] = [new Owner(), new Owner()]
      const [left, right] = openSockets([at], a).concat(openSockets([at], b)) as [UdpSocket, UdpSocket]
      open.push(left, right)
      expect(left.address).toMatchObject({ ip: at.ip, port: expect.any(Number) })
      left.send(new Uint8Array([9, 1]), right.address)
      const packet = await b.next()
      expect(packet).toMatchObject({ protocol: 'udp', remote: left.address })
      expect(packet.local).toBe(right.address)
      expect([...packet.bytes]).toEqual([9, 1])
      right.send(new Uint8Array([9, 2]), packet.remote)
      expect([...(await a.next()).bytes]).toEqual([9, 2])
    },
  )

  test('packets of one peer name one and the same address object', async () => {
    const owner = new Owner()
    const [to, from] = [make(owner), make(new Owner())]
    for (let i = 0; i < 2; i++) from.send(new Uint8Array([9]), to.address)
    expect((await owner.next()).remote).toBe((await owner.next()).remote)
  })

  test('a refused send is reported once per cause, harms nothing, and later packets arrive', async () => {
    const [owner, other] = [new Owner(), new Owner()]
    const [from, to] = [make(owner), make(other)]
    // Broadcast without SO_BROADCAST: the kernel refuses with EACCES on any machine.
    for (let i = 0; i < 3; i++) from.send(new Uint8Array([0, 1]), { ip: '255.255.255.255', port: 9 })
    from.send(new Uint8Array([9, 1]), { ip: '255.255.255.255', port: 9 })
    from.send(new Uint8Array([9, 3]), to.address)
    expect([...(await other.next()).bytes]).toEqual([9, 3])
    expect(owner.errors).toEqual([['127.0.0.1', 'EACCES']])
  })
})

describe('openSockets', () => {
  test('L94 a taken port is walked past until the range is exhausted, which is a clear error', async () => {
    const first = make(new Owner())
    const range = [first.address.port, first.address.port + 3] as const
    const owner = new Owner()
    const opened: UdpSocket[] = []
    expect(() => {
      for (let i = 0; i < 5; i++) opened.push(...openSockets([loopback('127.0.0.1')], owner, range))
    }).toThrow(`every UDP port from ${range[0]} to ${range[1]} is in use on 127.0.0.1`)
    open.push(...opened)
    for (const { address } of opened) expect(address.port).toBeGreaterThan(range[0])
    expect(new Set(opened.map(({ address }) => address.port)).size).toBe(opened.length)
  })

  test('L94 an address that is gone is skipped and reported; when all are, it is an error with the reason', () => {
    const owner = new Owner()
    const gone = { ...loopback('198.51.100.77'), name: 'gone0' }
    open.push(...openSockets([gone, loopback('127.0.0.1')], owner))
    expect(open).toHaveLength(1)
    expect(owner.errors).toEqual([['198.51.100.77', 'EADDRNOTAVAIL']])
    expect(() => openSockets([gone], owner)).toThrow(/no UDP socket could be bound on 198.51.100.77: .*EADDRNOTAVAIL/)
    expect(openSockets([], owner)).toEqual([])
  })

  test.each([
    [0, 5],
    [10, 9],
    [1, 65536],
    [1.5, 3],
  ])('portRange [%s, %s] is refused', (min, max) => {
    expect(() => checkPortRange([min, max])).toThrow('portRange must be')
  })
})

class Owner implements SocketOwner {
  readonly errors: [string, string | undefined][] = []
  deaths = 0
  readonly #packets: Packet[] = []
  #wake: (() => void) | undefined

  handlePacket(packet: Packet): void {
    this.#packets.push(packet)
    this.#wake?.()
  }

  handleSocketError(local: string, error: NodeJS.ErrnoException): void {
    this.errors.push([local, error.code])
  }

  handleSocketDeath(): void {
    this.deaths++
  }

  async next(): Promise<Packet> {
    while (this.#packets.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
    return this.#packets.shift() as Packet
  }
}

function make(owner: SocketOwner): UdpSocket {
  const socket = new UdpSocket(loopback('127.0.0.1'), 0, owner)
  open.push(socket)
  return socket
}

function loopback(ip: string): InterfaceAddress {
  const family = ip.includes(':') ? 6 : 4
  return { name: 'lo', ip, family, kind: 'loopback', defaultRoute: false, temporary: false }
}
