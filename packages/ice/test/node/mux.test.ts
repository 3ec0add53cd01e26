import { createSocket } from 'node:dgram'
import { encode, newTransactionId, shortTermKey } from '@floe/stun'
import { afterEach, describe, expect, test } from 'vitest'
import { IceTransport, UdpMux, type UnknownRequest } from '../../src/node/index.ts'
import { random } from '../../src/node/random.ts'
import { connectedPair, LOOPBACK, next, openUdpHandles } from './connect.ts'

const closing: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of closing.splice(0).reverse()) await one.close()
})

const ON_LOOPBACK = { includeLoopback: true, interfaceFilter: ({ ip }: { ip: string }) => ip === '127.0.0.1' }
const ON_LOOPBACK_6 = { includeLoopback: true, interfaceFilter: ({ ip }: { ip: string }) => ip === '::1' }

describe('UdpMux', () => {
  test.each([ON_LOOPBACK, ON_LOOPBACK_6])('L91 two agents on one port; one closes, the other lives', async (where) => {
    const mux = kept(new UdpMux(where))
    const [one, onePeer] = await pair({ mux }, where)
    const [two, twoPeer] = await pair({ mux }, where)
    const ports = [...one.getLocalCandidates(), ...two.getLocalCandidates()].map(({ address }) => address.port)
    expect(new Set(ports)).toEqual(new Set([mux.addresses[0]?.port]))
    expect(await echo(onePeer, one, 1)).toBe(1)
    expect(await echo(twoPeer, two, 2)).toBe(2)
    await one.close()
    expect(await echo(twoPeer, two, 3)).toBe(3)
    expect(await echo(two, twoPeer, 4)).toBe(4)
  })

  test('L92 an unknown ufrag is reported with its addresses; the agent made for it gets the packet', async () => {
    const mux = kept(new UdpMux(ON_LOOPBACK))
    const peer = kept(new IceTransport({ ...LOOPBACK, role: 'controlling' }))
    const parameters = { usernameFragment: 'served00', password: 'a-password-of-enough-letters' }
    const requests: UnknownRequest[] = []
    let served: IceTransport | undefined
    mux.onunknown = (request) => {
      requests.push(request)
      const { usernameFragment } = request
      served = kept(new IceTransport({ mux, parameters: { ...parameters, usernameFragment } }))
      served.gather()
      served.start({ usernameFragment: request.remoteUsernameFragment, password: peer.getLocalParameters().password })
    }
    peer.gather()
    peer.start(parameters)
    const port = mux.addresses[0]?.port
    peer.addRemoteCandidate({ candidate: `candidate:1 1 udp 2130706431 127.0.0.1 ${port} typ host` })
    await peer.connected({ signal: AbortSignal.timeout(5_000) })
    expect(requests).toHaveLength(1)
    expect(requests[0]).toMatchObject({
      usernameFragment: 'served00',
      remoteUsernameFragment: peer.getLocalParameters().usernameFragment,
      local: mux.addresses[0],
      remote: { ip: '127.0.0.1', port: peer.getLocalCandidates()[0]?.address.port },
    })
    await served?.connected({ signal: AbortSignal.timeout(5_000) })
  })

  test('H68 a restart keeps both generations reachable until the new one holds', async () => {
    const mux = kept(new UdpMux(ON_LOOPBACK))
    const [a, b] = await pair({ mux }, ON_LOOPBACK)
    a.restart()
    expect(await echo(b, a, 5)).toBe(5)
    b.restart()
    a.start(b.getLocalParameters())
    b.start(a.getLocalParameters())
    await next(a, 'selectedcandidatepairchange')
    expect(await echo(b, a, 6)).toBe(6)
    expect(await echo(a, b, 7)).toBe(7)
  })

  test('a packet that names another agent’s address diverts nothing', async () => {
    const mux = kept(new UdpMux(ON_LOOPBACK))
    const [one, onePeer] = await pair({ mux }, ON_LOOPBACK)
    const intruder = kept(new IceTransport({ mux }))
    intruder.gather()
    intruder.start({ usernameFragment: 'evil', password: 'a-password-of-enough-letters' })
    const port = onePeer.getLocalCandidates()[0]?.address.port
    intruder.addRemoteCandidate({ candidate: `candidate:1 1 udp 2130706431 127.0.0.1 ${port} typ host` })
    expect(intruder.checklist).toHaveLength(1)
    expect(await echo(onePeer, one, 8)).toBe(8)
    await intruder.close()
    expect(await echo(onePeer, one, 9)).toBe(9)
  })

  test('forged and broken packets reach nobody', async () => {
    const mux = kept(new UdpMux(ON_LOOPBACK))
    const a = kept(new IceTransport({ mux }))
    a.gather()
    const heard: UnknownRequest[] = []
    mux.onunknown = (request) => heard.push(request)
    const socket = createSocket('udp4')
    const send = (bytes: Uint8Array) => socket.send(bytes, mux.addresses[0]?.port as number, '127.0.0.1')
    const request = (username?: string) => {
      const attributes = username === undefined ? {} : { username }
      const transactionId = newTransactionId(random)
      return encode({ method: 'binding', class: 'request', transactionId, attributes }, { key: shortTermKey('x') })
    }
    send(new Uint8Array([0]))
    send(request())
    send(request('nocolon'))
    send(request(`${a.getLocalParameters().usernameFragment}:peer`))
    send(request('last:one'))
    while (heard.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    socket.close()
    expect(heard.map(({ usernameFragment }) => usernameFragment)).toEqual(['last'])
    expect(a.checklist).toEqual([])
  })

  test('a ufrag that is taken is a mistake, a closed mux too; closing frees the port', async () => {
    const before = await openUdpHandles()
    const mux = new UdpMux(ON_LOOPBACK)
    const parameters = { usernameFragment: 'samesame', password: 'a-password-of-enough-letters' }
    const [a, b] = [new IceTransport({ mux, parameters }), new IceTransport({ mux, parameters })]
    a.gather()
    expect(() => b.gather()).toThrow(expect.objectContaining({ code: 'ERR_ICE_ARGUMENT' }))
    await a.close()
    b.gather()
    await b.close()
    await mux.close()
    expect(() => new IceTransport({ mux }).gather()).toThrow(expect.objectContaining({ code: 'ERR_ICE_CLOSED' }))
    expect(await openUdpHandles()).toBe(before)
  })

  test('L94 a port that is taken is an error', () => {
    const port = kept(new UdpMux(ON_LOOPBACK)).addresses[0]?.port as number
    expect(() => new UdpMux({ ...ON_LOOPBACK, port })).toThrow(expect.objectContaining({ code: 'ERR_ICE_FAILED' }))
    expect(() => new UdpMux({ port: 70_000 })).toThrow(expect.objectContaining({ code: 'ERR_ICE_ARGUMENT' }))
  })

  test('all addresses share the port', () => {
    const { addresses } = kept(new UdpMux({ includeLoopback: true }))
    expect(addresses.length).toBeGreaterThan(0)
    expect(new Set(addresses.map(({ port }) => port)).size).toBe(1)
  })
})

function kept<T extends { close(): Promise<void> }>(one: T): T {
  closing.push(one)
  return one
}

async function pair(left: { mux: UdpMux }, right: typeof ON_LOOPBACK): Promise<[IceTransport, IceTransport]> {
  const [a, b] = await connectedPair(left, right)
  kept(a)
  kept(b)
  return [a, b]
}

/** Sends a byte, and gives what arrives. */
function echo(from: IceTransport, to: IceTransport, byte: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('nothing arrived')), 3_000)
    to.ondata = (bytes) => {
      clearTimeout(timer)
      resolve(bytes[1])
    }
    from.send(new Uint8Array([200, byte]))
  })
}
