import { expect, test } from 'vitest'
import type { LinkQuality } from '../topology/behavior.ts'
import { Clock } from './clock.ts'
import { REORDER_DELAY } from './link.ts'
import { Network, Realm } from './network.ts'
import { Random } from './random.ts'
import { Router } from './router.ts'

test('time passes only when nothing is left to do before, and equal times keep their order', () => {
  const clock = new Clock()
  const seen: string[] = []
  const say = (word: string) => () => seen.push(`${clock.now} ${word}`)
  clock.after(20, say('late'))
  clock.after(10, say('first'))
  clock.after(10, say('second'))
  clock.after(15, say('cancelled')).cancel()
  clock.after(5, () => clock.after(0, say('nested')))
  clock.runTo(100)
  expect(seen).toEqual(['5 nested', '10 first', '10 second', '20 late'])
  expect(clock.now).toBe(100)
})

test('a thousand random appointments come in order', () => {
  const clock = new Clock()
  const random = new Random(7)
  const times: number[] = []
  for (let i = 0; i < 1000; i++) clock.at(random.integer(0, 300), () => times.push(clock.now))
  clock.runTo(300)
  expect(times).toHaveLength(1000)
  expect(times).toEqual(times.toSorted((a, b) => a - b))
})

test('runTo stops as soon as the condition holds', () => {
  const clock = new Clock()
  let done = false
  clock.after(30, () => {
    done = true
  })
  expect(clock.runTo(100, () => done)).toBe(true)
  expect(clock.now).toBe(30)
})

test('a busy loop ends the run', () => {
  const clock = new Clock()
  const again = () => {
    clock.after(0, again)
  }
  again()
  expect(() => clock.runTo(1)).toThrow('busy loop')
})

test('the same seed gives the same stream, forks are independent of what others drew', () => {
  const draw = (random: Random) => Array.from({ length: 8 }, () => random.uint32())
  const used = new Random(3)
  draw(used)
  expect(draw(new Random(3))).toEqual(draw(new Random(3)))
  expect(draw(used.fork('link'))).toEqual(draw(new Random(3).fork('link')))
  expect(draw(new Random(3).fork('link'))).not.toEqual(draw(new Random(4).fork('link')))
})

test('packets of one link: latency, loss, duplication, reordering', () => {
  expect(arrivals({ latency: 25 }, 3)).toEqual([
    [0, 25],
    [1, 26],
    [2, 27],
  ])
  expect(arrivals({ loss: 1 }, 50)).toEqual([])
  expect(arrivals({ drops: 'all' }, 50)).toEqual([])
  expect(arrivals({ duplicate: 1 }, 2).map(([n]) => n)).toEqual([0, 0, 1, 1])
  const half = arrivals({ loss: 0.5 }, 400).length
  expect(half).toBeGreaterThan(150)
  expect(half).toBeLessThan(250)
  expect(arrivals({ latency: 10, jitter: 50 }, 100).map(([n]) => n)).toEqual(Array.from({ length: 100 }, (_, i) => i))
  const reordered = arrivals({ reorder: 0.2 }, 100)
  expect(reordered).toHaveLength(100)
  expect(reordered.map(([n]) => n)).not.toEqual(Array.from({ length: 100 }, (_, i) => i))
  expect(reordered.filter(([n, time]) => time - n === REORDER_DELAY).length).toBeGreaterThan(5)
})

test('losses that depend on the packet: size, kind, and bursts', () => {
  expect(arrivals({ mtu: 29 }, 2)).toHaveLength(2)
  expect(arrivals({ mtu: 28 }, 2)).toHaveLength(0)
  expect(arrivals({ drops: 'data' }, 2)).toHaveLength(0)
  const passed = arrivals({ bursts: { every: 30, lasting: 10, loss: 1 } }, 250).map(([n]) => n)
  const gaps = passed.slice(1).map((n, i) => n - passed[i]! - 1)
  expect(passed.length).toBeGreaterThan(125)
  expect(passed.length).toBeLessThan(235)
  expect(Math.max(...gaps)).toBeGreaterThan(3)
})

test('a suspended process: its timers and packets wait, timers come first', () => {
  const { network, a, b } = twoHosts({})
  const seen: string[] = []
  b.onpacket = () => seen.push(`packet ${network.clock.now}`)
  b.host.suspend()
  b.host.at(50, () => seen.push(`timer ${network.clock.now}`))
  b.host.at(60, () => seen.push('cancelled')).cancel()
  for (let i = 0; i < 300; i++) a.send(b.address, new Uint8Array(1))
  network.clock.runTo(100)
  expect(seen).toEqual([])
  b.host.resume()
  network.clock.runTo(200)
  expect(seen.slice(0, 2)).toEqual(['timer 100', 'packet 100'])
  expect(seen).toHaveLength(257)
  expect(network.trace.format()).toContain('receive buffer full')
})

test('a detached address is nobody, and can be attached anew', () => {
  const { network, a, b } = twoHosts({})
  b.host.detach(b.address.ip)
  a.send(b.address, new Uint8Array(1))
  network.clock.runTo(1)
  expect(network.trace.format()).toContain('no route to 203.0.113.2')
  expect(b.host.attach(network.internet, b.address.ip).ip).toBe(b.address.ip)
})

test('delivered bytes are only lent', () => {
  const { network, a, b } = twoHosts({})
  let kept: Uint8Array | undefined
  b.onpacket = ({ bytes }) => {
    kept = bytes
  }
  a.send(b.address, Uint8Array.of(1, 2, 3))
  network.clock.runTo(1)
  expect([...kept!]).toEqual([0xee, 0xee, 0xee])
})

test('what cannot be delivered is traced with its reason', () => {
  const { network, a, b } = twoHosts({})
  a.send({ ip: '203.0.113.99', port: 9 }, new Uint8Array(1))
  a.send({ ip: b.address.ip, port: 9 }, new Uint8Array(1))
  network.rules.push(({ destination }) => (destination.port === b.address.port ? 'test rule' : undefined))
  a.send(b.address, new Uint8Array(1))
  network.clock.runTo(1)
  expect(network.trace.format()).toMatch(/test rule[\s\S]*no route to 203.0.113.99[\s\S]*no socket/)
})

test('a firewall lets answers in and nothing else, for addresses of both families', () => {
  const network = new Network(1)
  const inside = new Realm(network, 'office')
  new Router('office', inside, network.internet, { firewall: {} })
  const office = network.host('office host')
  office.attach(inside, '2001:db8:1::2')
  const outside = network.host('outside')
  outside.attach(network.internet, '2001:db8:2::2')
  const got: string[] = []
  const a = office.bind('2001:db8:1::2', 1000, () => got.push('a'))
  const b = outside.bind('2001:db8:2::2', 1000, () => got.push('b'))
  b.send(a.address, new Uint8Array(1))
  network.clock.runTo(1)
  expect(got).toEqual([])
  a.send(b.address, new Uint8Array(1))
  network.clock.runTo(2)
  b.send(a.address, new Uint8Array(1))
  network.clock.runTo(3)
  expect(got).toEqual(['b', 'a'])
  expect(network.trace.format()).toContain('firewall: unsolicited')
})

function twoHosts(quality: LinkQuality) {
  const network = new Network(1)
  const open = (name: string, ip: string) => {
    const host = network.host(name)
    host.attach(network.internet, ip, name === 'a' ? quality : {})
    return host.bind(ip)
  }
  return { network, a: open('a', '203.0.113.1'), b: open('b', '203.0.113.2') }
}

/** [number of the packet, arrival time] of packets sent one per millisecond. */
function arrivals(quality: LinkQuality, count: number): [number, number][] {
  const { network, a, b } = twoHosts(quality)
  const seen: [number, number][] = []
  b.onpacket = ({ bytes }) => seen.push([bytes[0]!, network.clock.now])
  for (let i = 0; i < count; i++) network.clock.at(i, () => a.send(b.address, Uint8Array.of(i)))
  network.clock.runTo(10_000)
  return seen
}
