import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { canonicalIp } from '@floe/stun'
import { type Answer, type DecodedPacket, decode, encode } from 'dns-packet'
import { afterEach, describe, expect, test } from 'vitest'
import { IceTransport, parseCandidate } from '../../src/node/index.ts'
import { MulticastDns } from '../../src/node/mdns.ts'
import { connectedPair, next, openUdpHandles, trickle } from './connect.ts'
import { inBareNetwork, inPrivateNetwork, runInPrivateNetwork, whyNoPrivateNetwork } from './private-network.ts'

const NAME = '8a3f0d0e-1111-4000-8000-000000000001.local'

describe.runIf(inPrivateNetwork)('mDNS on a network of its own', () => {
  const open: { close(): unknown }[] = []
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close()
  })

  test.each(['10.77.0.1', 'fd77::1'])('K87 a published name resolves to %s for others', async (ip) => {
    const withdraw = new MulticastDns().publish(NAME, ip, fail)
    expect(await new MulticastDns().resolve(NAME.toUpperCase())).toEqual({ ip })
    withdraw()
    expect(await openUdpHandles()).toBe(0)
  })

  test('K87 a name nobody has gets a reason, in bounded time', async () => {
    const start = performance.now()
    expect(await new MulticastDns().resolve(NAME)).toEqual({ reason: 'no answer' })
    expect(performance.now() - start).toBeLessThan(5_000)
    expect(await openUdpHandles()).toBe(0)
  }, 10_000)

  test('K87 the same name asked for by two at once is one question, and both are answered', async () => {
    const queries = await listenForQueries()
    const mdns = new MulticastDns()
    const both = Promise.all([mdns.resolve(NAME), mdns.resolve(NAME)])
    await queries.until(1)
    queries.respond({ type: 'A', name: NAME, ttl: 120, data: '10.77.0.9' })
    expect(await both).toEqual([{ ip: '10.77.0.9' }, { ip: '10.77.0.9' }])
  })

  test('K87 a lost query is repeated after 250 ms', async () => {
    const queries = await listenForQueries()
    const resolved = new MulticastDns().resolve(NAME)
    const [first, second] = await queries.until(2)
    const gap = (second?.at ?? 0) - (first?.at ?? 0)
    expect(gap).toBeGreaterThan(200)
    expect(gap).toBeLessThan(900)
    queries.respond({ type: 'AAAA', name: NAME, ttl: 120, data: 'fd77::9' })
    expect(await resolved).toEqual({ ip: 'fd77::9' })
  })

  test('K87 aborted in flight: answered at once, sockets closed', async () => {
    const controller = new AbortController()
    const resolved = new MulticastDns().resolve(NAME, controller.signal)
    controller.abort()
    expect(await resolved).toEqual({ reason: 'aborted' })
    expect(await openUdpHandles()).toBe(0)
  })

  test('K87 answers for other names, goodbyes, garbage and answers from other ports are not taken', async () => {
    const queries = await listenForQueries()
    const resolved = new MulticastDns().resolve(NAME)
    await queries.until(1)
    queries.respond({ type: 'A', name: `x${NAME}`, ttl: 120, data: '10.77.0.66' })
    queries.respond({ type: 'A', name: NAME, ttl: 0, data: '10.77.0.66' })
    const stranger = createSocket('udp4').bind(0, '10.77.0.1')
    open.push(stranger)
    await once(stranger, 'listening')
    stranger.setMulticastInterface('10.77.0.1')
    const forged: Answer = { type: 'A', name: NAME, ttl: 120, data: '10.77.0.66' }
    stranger.send(encode({ type: 'response', answers: [forged] }), 5353, '224.0.0.251')
    stranger.send(new Uint8Array([1, 2, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]), 5353, '224.0.0.251')
    await new Promise((resolve) => setTimeout(resolve, 50))
    queries.respond({ type: 'A', name: NAME, ttl: 120, data: '10.77.0.9' })
    expect(await resolved).toEqual({ ip: '10.77.0.9' })
  })

  test('a one-shot querier is answered by unicast, RFC 6762 §6.7', async () => {
    const withdraw = new MulticastDns().publish(NAME, '10.77.0.1', fail)
    open.push({ close: withdraw })
    const querier = createSocket('udp4').bind(0, '10.77.0.1')
    open.push(querier)
    await once(querier, 'listening')
    querier.setMulticastInterface('10.77.0.1')
    querier.send(encode({ type: 'query', id: 77, questions: [{ type: 'A', name: NAME }] }), 5353, '224.0.0.251')
    const [bytes] = (await once(querier, 'message')) as [Buffer]
    const answer = decode(bytes)
    expect(answer).toMatchObject({ id: 77, questions: [{ name: NAME }] })
    expect(answer.answers?.[0]).toMatchObject({ data: '10.77.0.1', ttl: 10, flush: false })
  })

  test('an answer is written as candidates are, whatever run of zeros its decoder has shortened', async () => {
    const queries = await listenForQueries()
    const resolved = new MulticastDns().resolve(NAME)
    await queries.until(1)
    queries.respond({ type: 'AAAA', name: NAME, ttl: 120, data: 'fd00:0:0:1::5' })
    // RFC 5952 §4.2.3: the longest run.
    expect(await resolved).toEqual({ ip: canonicalIp('fd00:0:0:1::5') })
  })

  test('K88 published names stand in for addresses in candidates and statistics, and peers connect by them', async () => {
    const [a, b] = await connectedPair({ mdns: { publish: true } })
    open.push(a, b)
    const signalled = a.getLocalCandidates().map(({ hostname }) => hostname)
    expect(signalled.length).toBeGreaterThan(0)
    for (const hostname of signalled) expect(hostname).toMatch(/^[0-9a-f-]{36}\.local$/)
    for (const entry of a.getStats().values()) {
      if (entry.type === 'local-candidate' && entry.candidateType === 'host') expect(entry.address).toMatch(/\.local$/)
    }
    const named = b.getRemoteCandidates().filter(({ hostname }) => hostname?.endsWith('.local'))
    expect(new Set(named.map(({ protocol }) => protocol))).toEqual(new Set(['udp', 'tcp']))
    await Promise.all([a.close(), b.close()])
    expect(await openUdpHandles()).toBe(0)
  })

  test('K88 the event carries the name and not the address', async () => {
    const a = new IceTransport({ mdns: { publish: true } })
    open.push(a)
    const event = next<Event & { candidate: RTCIceCandidateInit }>(a, 'icecandidate')
    a.gather()
    const line = (await event).candidate.candidate as string
    expect(parseCandidate(line)?.address.ip).toMatch(/\.local$/)
    expect(line).not.toMatch(/10\.77\.|fd77:/)
  })

  test('a name that is withdrawn while it is being resolved becomes no candidate, unless it is given again', async () => {
    const queries = await listenForQueries()
    const a = new IceTransport()
    open.push(a)
    a.gather()
    a.start({ usernameFragment: 'peer', password: 'p'.repeat(22) }, 'controlling')
    const candidate = { candidate: `candidate:1 1 udp 2130706431 ${NAME} 9 typ host` }
    const others = { candidate: candidate.candidate.replace(' 9 ', ' 10 ') }
    a.addRemoteCandidate(candidate)
    a.addRemoteCandidate(others)
    await queries.until(1)
    a.removeRemoteCandidates([candidate, others])
    a.addRemoteCandidate(others)
    queries.respond({ type: 'A', name: NAME, ttl: 120, data: '10.77.0.9' })
    const known = () => a.getRemoteCandidates().map(({ address }) => address)
    await expect.poll(known).toEqual([{ ip: '10.77.0.9', port: 10 }])
    const skipped = a.agentLog.filter(({ event }) => event === 'candidate-skipped')
    expect(skipped.map(({ reason }) => reason)).toEqual(['the peer has withdrawn it'])
  })

  test('K87 the end of candidates waits for the names before it', async () => {
    const a = new IceTransport({ timing: { pac: 500 } })
    const b = new IceTransport()
    open.push(a, b)
    trickle(b, a)
    a.gather()
    a.start(b.getLocalParameters())
    a.addRemoteCandidate({ candidate: `candidate:1 1 udp 1 ${NAME} 9 typ host` })
    a.addRemoteCandidate(null)
    expect(a.getRemoteCandidates()).toEqual([])
    const queries = await listenForQueries()
    await queries.until(1)
    queries.respond({ type: 'A', name: NAME, ttl: 120, data: '10.77.0.9' })
    while (a.getRemoteCandidates().length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(a.getRemoteCandidates()[0]).toMatchObject({ hostname: NAME, address: { ip: '10.77.0.9', port: 9 } })
  })

  /** A second mDNS program on this network: hears queries, and responds as told. */
  async function listenForQueries() {
    const heard: { packet: DecodedPacket; at: number }[] = []
    const socket = createSocket({ type: 'udp4', reuseAddr: true })
    open.push(socket)
    socket.bind(5353)
    await once(socket, 'listening')
    socket.addMembership('224.0.0.251', '10.77.0.1')
    socket.setMulticastInterface('10.77.0.1')
    socket.on('message', (bytes) => {
      const packet = tryDecode(bytes)
      if (packet?.type === 'query') heard.push({ packet, at: performance.now() })
    })
    return {
      async until(count: number) {
        while (heard.length < count) await new Promise((resolve) => setTimeout(resolve, 5))
        return heard
      },
      respond: (answer: Answer) => socket.send(encode({ type: 'response', answers: [answer] }), 5353, '224.0.0.251'),
    }
  }
})

/** A namespace with nothing up, not even loopback: what a sandbox or a broken network looks like. */
describe.runIf(inBareNetwork)('mDNS without a network', () => {
  test('K89 multicast that is not possible is a reason and a log line, never an error', async () => {
    const { reason } = await new MulticastDns().resolve(NAME)
    expect(reason).toContain('multicast is not possible')
    await using a = new IceTransport({ mdns: { publish: true } })
    a.gather()
    a.addRemoteCandidate({ candidate: `candidate:1 1 udp 1 ${NAME} 9 typ host` })
    await new Promise(setImmediate)
    expect(a.agentLog.at(-1)).toMatchObject({ event: 'candidate-skipped', detail: NAME })
    expect(a.gatheringState).toBe('complete')
  })
})

describe.runIf(!inBareNetwork)('mDNS', () => {
  const cases = [
    ['K87 K88 on a network of its own', '1'],
    ['K89 without a network', 'bare'],
  ] as const
  for (const [name, network] of cases) {
    if (network === '1' && inPrivateNetwork) continue
    test.skipIf(whyNoPrivateNetwork)(`${name} ${whyNoPrivateNetwork ?? ''}`.trim(), { timeout: 60_000 }, () => {
      const { status, output } = runInPrivateNetwork(import.meta.filename, network)
      expect(status, output).toBe(0)
    })
  }
})

function fail(reason: string): never {
  throw new Error(reason)
}

function tryDecode(bytes: Buffer): DecodedPacket | undefined {
  try {
    return decode(bytes)
  } catch {
    return undefined
  }
}
