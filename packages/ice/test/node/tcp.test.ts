import { afterEach, describe, expect, test } from 'vitest'
import { type IceTransport, type IceTransportOptions, parseCandidate } from '../../src/node/index.ts'
import { connectedPair, LOOPBACK } from './connect.ts'

/** As where a firewall lets no UDP through: whatever is not TCP is refused on both ends. */
const TCP_ONLY: IceTransportOptions = { ...LOOPBACK, candidatePolicy: ({ protocol }) => protocol === 'tcp' }

const open: IceTransport[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((transport) => transport.close()))
})

async function pair(options = TCP_ONLY): Promise<[IceTransport, IceTransport]> {
  const both = await connectedPair(options)
  open.push(...both)
  return both
}

function received(transport: IceTransport): Promise<string> {
  return new Promise((resolve) => {
    transport.ondata = (bytes) => resolve(new TextDecoder().decode(bytes))
  })
}

async function sends(from: IceTransport, to: IceTransport, text: string): Promise<void> {
  const heard = received(to)
  expect(from.send(new TextEncoder().encode(text))).toBe(true)
  expect(await heard).toBe(text)
}

describe('J83 active to passive', () => {
  test('the candidates say so, and come after every UDP host candidate in priority', async () => {
    const [a] = await pair({ ...LOOPBACK })
    const lines = a.getLocalCandidates().map(({ type, protocol, tcpType }) => [type, protocol, tcpType])
    expect(lines).toEqual([
      ['host', 'udp', undefined],
      ['host', 'tcp', 'active'],
      ['host', 'tcp', 'passive'],
    ])
    const [udp, active, passive] = a.getLocalCandidates()
    expect(udp!.priority).toBeGreaterThan(active!.priority)
    expect(active!.priority).toBeGreaterThan(passive!.priority)
    expect(active!.address.port).toBe(9)
    expect(a.getSelectedCandidatePair()?.local.protocol).toBe('udp')
  })

  test('connects, and data goes both ways', async () => {
    const [a, b] = await pair()
    const { local, remote } = a.getSelectedCandidatePair()!
    expect([local.protocol, remote.protocol]).toEqual(['tcp', 'tcp'])
    await sends(a, b, 'over')
    await sends(b, a, 'and back')
  })

  test('the lines are what browsers write and read', () => {
    const line = 'candidate:1 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active generation 0 ufrag abcd'
    expect(parseCandidate(line)).toMatchObject({ protocol: 'tcp', tcpType: 'active', address: { port: 9 } })
  })

  test('an ICE restart opens new connections, and the old ones are closed', async () => {
    const [a, b] = await pair()
    const before = a.getSelectedCandidatePair()
    b.restart()
    a.restart()
    a.start(b.getLocalParameters())
    b.start(a.getLocalParameters())
    await expect.poll(() => a.getSelectedCandidatePair() !== before, { timeout: 5_000 }).toBe(true)
    await expect.poll(() => b.getSelectedCandidatePair()?.nominated).toBe(true)
    await sends(a, b, 'still here')
    await sends(b, a, 'me too')
  })
})

test('J85 a message of 65,535 bytes passes; a longer one is lost like a datagram that is too long', async () => {
  const [a, b] = await pair()
  const lengths: number[] = []
  b.ondata = (bytes) => lengths.push(bytes.length)
  for (const length of [1, 65_536, 65_535]) a.send(new Uint8Array(length).fill(200))
  await expect.poll(() => lengths).toEqual([1, 65_535])
})

test('nothing is left behind', async () => {
  const [a, b] = await pair()
  await Promise.all([a.close(), b.close()])
  await expect.poll(() => process.getActiveResourcesInfo().filter((name) => /TCP/.test(name))).toEqual([])
})

test('tcp: false speaks UDP only', async () => {
  const [a] = await pair({ ...LOOPBACK, tcp: false })
  expect(a.getLocalCandidates().map(({ protocol }) => protocol)).toEqual(['udp'])
})
