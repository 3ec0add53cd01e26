import { readdirSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, test } from 'vitest'
import { type IceCandidatePairStats, IceError, IceTransport, parseCandidate } from '../../src/node/index.ts'
import { connectedPair, LOOPBACK, next, openUdpHandles, trickle } from './connect.ts'

const open: IceTransport[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((transport) => transport.close()))
})

describe('a connection', () => {
  test('carries data both ways on loopback, and says what it is', async () => {
    const [a, b] = await kept(connectedPair())
    const received = new Promise<string>((resolve) => {
      a.ondata = (bytes) => resolve(new TextDecoder().decode(bytes))
    })
    b.ondata = (bytes) => b.send(bytes)
    expect(a.send(new TextEncoder().encode('hello'))).toBe(true)
    expect(await received).toBe('hello')
    expect([a.role, b.role]).toEqual(['controlling', 'controlled'])
    expect(a.getSelectedCandidatePair()).toMatchObject({ local: { type: 'host' }, remote: { type: 'host' } })
    expect(a.getRemoteParameters()).toEqual(b.getLocalParameters())
    const transport = a.getStats().get('T')
    expect(transport).toMatchObject({ iceRole: 'controlling', selectedCandidatePairChanges: 1 })
    const pair = [...a.getStats().values()].find((entry) => entry.type === 'candidate-pair')
    expect(pair).toMatchObject({ selected: true, packetsSent: 1, bytesReceived: 5, deaths: 0, requestLoss: 0 })
    const { lastPacketSentTimestamp: sent = 0, consentTimestamp: agreed = 0 } = pair as IceCandidatePairStats
    for (const time of [sent, agreed]) expect(Math.abs(Date.now() - time)).toBeLessThan(60_000)
    expect(a.agentLog.map(({ event }) => event)).toContain('selected')
  })

  test('is found over all interfaces, IPv6 included where there is one', async () => {
    const [a] = await kept(connectedPair({ includeLoopback: true }))
    expect(a.getLocalCandidates().length).toBeGreaterThan(0)
    expect(a.state).toMatch(/connected|completed/)
  })

  test('survives a restart, and ends in the new generation', async () => {
    const [a, b] = await kept(connectedPair())
    const before = a.getLocalParameters().usernameFragment
    a.restart()
    b.restart()
    a.start(b.getLocalParameters())
    b.start(a.getLocalParameters())
    await next(a, 'selectedcandidatepairchange')
    expect(a.getLocalParameters().usernameFragment).not.toBe(before)
    const echoed = new Promise((resolve) => {
      b.ondata = resolve
    })
    expect(a.send(new Uint8Array([9, 9]))).toBe(true)
    expect(await echoed).toEqual(Buffer.from([9, 9]))
  })

  test('data flows at the pace of datagrams', async () => {
    const [a, b] = await kept(connectedPair())
    let received = 0
    b.ondata = () => received++
    const bytes = new Uint8Array(1200).fill(200)
    for (let i = 0; i < 300; i++) {
      for (let j = 0; j < 16; j++) a.send(bytes)
      await new Promise(setImmediate)
    }
    expect(received).toBeGreaterThan(300 * 16 * 0.9)
  })

  test('without a path send() says so, and STUN in disguise is refused', async () => {
    const a = keep(new IceTransport(LOOPBACK))
    expect(a.send(new Uint8Array([9]))).toBe(false)
    const stun = new Uint8Array(20)
    stun.set([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42])
    expect(() => a.send(stun)).toThrow(IceError)
  })
})

describe('candidates', () => {
  test('externalAddresses of a 1:1 NAT become server-reflexive candidates with the same port', () => {
    const a = keep(new IceTransport({ ...LOOPBACK, externalAddresses: { '127.0.0.1': '203.0.113.7' } }))
    a.gather()
    const [host, mapped] = a.getLocalCandidates()
    expect(mapped).toMatchObject({
      type: 'srflx',
      address: { ip: '203.0.113.7', port: host?.address.port },
      relatedAddress: { ip: '127.0.0.1' },
    })
  })

  test('L93 a filter that leaves nothing ends gathering without candidates', async () => {
    const a = keep(new IceTransport({ interfaceFilter: () => false }))
    const ended = next(a, 'icecandidate', ({ candidate }: Event & { candidate?: unknown }) => candidate === null)
    a.gather()
    await ended
    expect(a.getLocalCandidates()).toEqual([])
    expect(a.gatheringState).toBe('complete')
  })

  test('L93 gatherPolicy relay makes no traffic, and without a server it ends with an error', async () => {
    const a = keep(new IceTransport({ ...LOOPBACK, gatherPolicy: 'relay' }))
    const failed = next(a, 'icecandidateerror')
    a.gather()
    expect(await failed).toMatchObject({ errorCode: 701, errorText: expect.stringContaining('no TURN server') })
    expect(a.gatheringState).toBe('complete')
    expect(a.getLocalCandidates()).toEqual([])
  })

  test('L94 a port range is kept to, and its exhaustion thrown by gather()', async () => {
    const first = keep(new IceTransport(LOOPBACK))
    first.gather()
    const port = first.getLocalCandidates()[0]?.address.port as number
    const second = keep(new IceTransport({ ...LOOPBACK, portRange: [port, port] }))
    expect(() => second.gather()).toThrow(expect.objectContaining({ code: 'ERR_ICE_FAILED' }))
    await first.close()
    second.gather()
    expect(second.getLocalCandidates()[0]?.address.port).toBe(port)
  })

  test('a remote candidate that nobody understands is logged; what is none at all is a mistake', () => {
    const a = keep(new IceTransport(LOOPBACK))
    a.addRemoteCandidate({ candidate: 'candidate:1 1 quic 1 192.0.2.1 9 typ host' })
    a.addRemoteCandidate({ candidate: 'candidate:1 1 udp 1 internal.example.com 9 typ host' })
    expect(a.agentLog.filter(({ event }) => event === 'candidate-skipped').map(({ reason }) => reason)).toEqual([
      'not a candidate that this agent knows',
      'only names of the form <label>.local are resolved',
    ])
    expect(() => a.addRemoteCandidate('candidate:1' as never)).toThrow('addRemoteCandidate() takes')
  })

  test('what signaling carries is what a browser takes', async () => {
    const a = keep(new IceTransport(LOOPBACK))
    const found = next<Event & { candidate: RTCIceCandidateInit }>(a, 'icecandidate')
    a.gather()
    const { candidate } = await found
    const { usernameFragment } = a.getLocalParameters()
    expect(candidate).toMatchObject({ sdpMid: null, sdpMLineIndex: 0, usernameFragment })
    expect(parseCandidate(candidate.candidate as string)).toMatchObject({ type: 'host', usernameFragment })
  })
})

describe('options', () => {
  test.each([
    [{ iceServers: [{ urls: 'http://example.org' }] }, 'no STUN or TURN URL'],
    [{ iceServers: [{ urls: [] }] }, 'no urls'],
    [{ iceServers: [{ urls: 'turn:example.org' }] }, 'needs a username and a credential'],
    [{ externalAddresses: 'example.org' }, 'no IP address'],
    [{ portRange: [9, 1] as const }, 'portRange must be'],
  ])('%j is refused at once', (options, message) => {
    expect(() => new IceTransport(options)).toThrow(message)
    expect(() => new IceTransport(options)).toThrow(expect.objectContaining({ code: 'ERR_ICE_ARGUMENT' }))
  })
})

describe('the end', () => {
  test('L97 close in any callback, twice, mid-gather: one last event, no handle left', async () => {
    const before = await openUdpHandles()
    for (const type of ['icecandidate', 'gatheringstatechange', 'statechange', 'selectedcandidatepairchange']) {
      const [a, b] = [new IceTransport({ ...LOOPBACK, role: 'controlling' }), new IceTransport(LOOPBACK)]
      const events: string[] = []
      a.addEventListener('statechange', () => events.push(a.state))
      const closing = next(a, type).then(() => a.close())
      a.addEventListener(type, () => void a.close())
      trickle(b, a)
      a.gather()
      if (a.state !== 'closed') {
        b.gather()
        a.start(b.getLocalParameters())
        b.start(a.getLocalParameters())
        for (const { address, foundation, priority } of a.getLocalCandidates()) {
          b.addRemoteCandidate({
            candidate: `candidate:${foundation} 1 udp ${priority} 127.0.0.1 ${address.port} typ host`,
          })
        }
      }
      await closing
      await Promise.all([a.close(), b.close()])
      expect(events.at(-1)).toBe('closed')
      expect(events.filter((state) => state === 'closed')).toHaveLength(1)
      expect(() => a.gather()).toThrow(expect.objectContaining({ code: 'ERR_ICE_CLOSED' }))
    }
    expect(await openUdpHandles()).toBe(before)
  })

  test('L97 closed mid-gather with a name being resolved: nothing more is heard', async () => {
    const a = new IceTransport({ ...LOOPBACK, iceServers: [{ urls: 'stun:floe.invalid' }] })
    a.gather()
    const heard: Event[] = []
    await a.close()
    for (const type of ['icecandidate', 'icecandidateerror']) a.addEventListener(type, (event) => heard.push(event))
    await new Promise(setImmediate)
    expect(heard).toEqual([])
  })

  test('L98 a thousand made, gathered and closed leave no file descriptor', { timeout: 30_000 }, async () => {
    // The names of the test before: the system's resolver cannot be stopped, and holds a socket for each until it gives up.
    const isResolving = () => process.getActiveResourcesInfo().includes('GetAddrInfoReqWrap')
    await expect.poll(isResolving, { timeout: 20_000 }).toBe(false)
    for (let i = 0; i < 5; i++) await gatherAndClose()
    const before = descriptors()
    for (let i = 0; i < 100; i++) await Promise.all(Array.from({ length: 10 }, gatherAndClose))
    // libuv gives them back in its next round.
    await expect.poll(descriptors).toBeLessThanOrEqual(before)
  })

  test('L98 nor memory, the process’s own and the engine’s', { timeout: 30_000 }, async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const measure = async () => {
      for (let i = 0; i < 50; i++) await Promise.all(Array.from({ length: 10 }, gatherAndClose))
      for (let i = 0; i < 3; i++) {
        await new Promise(setImmediate)
        collect()
      }
      return process.memoryUsage()
    }
    await measure()
    const before = await measure()
    const after = await measure()
    // 1 KiB of each would be 500 KiB; what an agent takes while it lives is 15 times as much.
    expect(after.heapUsed - before.heapUsed).toBeLessThan(500 * 1024)
    // The allocator keeps pages: of 16 KiB of each, 8 MiB, it could not.
    expect(after.rss - before.rss).toBeLessThan(8 * 1024 * 1024)
  })

  test('a signal closes it, also one that was aborted before', async () => {
    const controller = new AbortController()
    const a = new IceTransport({ ...LOOPBACK, signal: controller.signal })
    a.gather()
    controller.abort()
    expect(a.state).toBe('closed')
    await a.close()
    expect(new IceTransport({ signal: controller.signal }).state).toBe('closed')
  })

  test('await using closes', async () => {
    let outer: IceTransport
    {
      await using inner = new IceTransport(LOOPBACK)
      inner.gather()
      outer = inner
    }
    expect(outer.state).toBe('closed')
  })

  test('connected() rejects with the signal’s reason, and when the transport closes', async () => {
    const a = keep(new IceTransport(LOOPBACK))
    const controller = new AbortController()
    const waiting = a.connected({ signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await expect(a.connected({ signal: controller.signal })).rejects.toThrow('enough')
    const other = a.connected()
    await a.close()
    await expect(other).rejects.toMatchObject({ code: 'ERR_ICE_CLOSED' })
    await expect(a.connected()).rejects.toMatchObject({ code: 'ERR_ICE_CLOSED' })
  })
})

function keep(transport: IceTransport): IceTransport {
  open.push(transport)
  return transport
}

async function kept(pair: Promise<[IceTransport, IceTransport]>): Promise<[IceTransport, IceTransport]> {
  open.push(...(await pair))
  return pair
}

async function gatherAndClose(): Promise<void> {
  const transport = new IceTransport(LOOPBACK)
  transport.gather()
  await transport.close()
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length
}
