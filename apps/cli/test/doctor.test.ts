import { StunServer } from '@floe/nat/node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Findings, judge } from '../src/doctor/findings.ts'
import { inWords } from '../src/doctor/words.ts'
import { build, Floe, run } from './floe.ts'

let stun: StunServer
beforeAll(async () => {
  await build()
  stun = new StunServer({ addresses: ['127.0.0.1'], port: 0 })
}, 60_000)
afterAll(() => stun.close())

describe('floe doctor', () => {
  test('tells what it found, for people and for machines', async () => {
    const [people, machines] = await Promise.all([
      run(['doctor', '--no-port-mapping', '--stun', stun.urls[0]!]),
      run(['doctor', '--no-port-mapping', '--stun', stun.urls[0]!, '--json']),
    ])
    const words = people.floe.stdout.join('\n')
    expect(words).toMatch(/host .*127\.0\.0\.1/)
    expect(words).toContain(`works  ${stun.urls[0]}`)
    expect(words).toMatch(/IPv4\n {2}no NAT/)
    const { verdict, servers, nat, portMapping } = machines.floe.lines.at(-1) as unknown as Findings & {
      verdict: string
    }
    expect(verdict).toBe('direct')
    expect(servers).toEqual([{ url: stun.urls[0], works: true, roundTripTime: expect.any(Number) }])
    expect(nat.ipv4).toMatchObject({ translated: false })
    expect(portMapping).toBeUndefined()
    expect([people.code, machines.code]).toEqual([0, 0])
  })

  test('a server that does not answer, and no relay: exit code 5', async () => {
    const { code, floe } = await run(['doctor', '--no-port-mapping', '--stun', 'stun:127.0.0.1:9', '--json'])
    const { verdict, servers } = floe.lines.at(-1) as unknown as Findings & { verdict: string }
    expect(servers).toEqual([{ url: 'stun:127.0.0.1:9', works: false, error: expect.stringMatching(/no answer/) }])
    expect(verdict).toBe('stuck')
    expect(code).toBe(5)
  })

  test('asks a room’s server for servers', async () => {
    await using server = new Floe(['serve', '--port', '0', '--stun-port', '0', '--json'])
    const { url } = await server.event('listening')
    const { urls } = await server.event('stun')
    const { code, floe } = await run(['doctor', '--no-port-mapping', '--server', String(url), '--json'])
    expect(floe.lines[0]).toEqual({ event: 'examining', servers: urls })
    expect(code).toBe(0)
  })

  test.each([
    [['stun:x'], /what is 'stun:x'/],
    [['--stun', 'nonsense'], /--stun/],
    [['--turn-server', 'turn:a'], /go together/],
  ])('%j is wrong usage', async (args, words) => {
    const { code, floe } = await run(['doctor', ...args])
    expect(floe.stderr).toMatch(words)
    expect(code).toBe(2)
  })
})

const NAT = {
  local: { ip: '192.168.1.2', port: 1 },
  reachable: true,
  mapped: { ip: '203.0.113.1', port: 2 },
  translated: true,
  mapping: 'endpoint-independent',
  filtering: 'address-and-port-dependent',
  hairpinning: 'none',
  pooling: 'paired',
  carrierGrade: false,
  servers: [],
} as const
const NOTHING: Findings = {
  candidates: [{ type: 'host', protocol: 'udp', address: '192.168.1.2', port: 1 }],
  servers: [{ url: 'stun:a', works: true }],
  nat: {},
  portMapping: undefined,
  nat64: { prefixes: [], confirmed: true, lifetime: 0, clat: false },
}
const HARD = { ...NAT, mapping: 'address-and-port-dependent' } as const
const RELAY = [{ url: 'turn:a', works: true }]
const MAPPED = { mapping: { protocol: 'pcp', external: '203.0.113.1:5', lifetime: 7_200_000 } }

test.each([
  ['direct', { nat: { ipv4: NAT } }],
  ['open', { nat: { ipv4: { ...NAT, filtering: 'endpoint-independent' } } }],
  ['open', { nat: { ipv4: HARD }, portMapping: MAPPED }],
  ['stuck', { nat: { ipv4: { ...HARD, layers: 2 } }, portMapping: MAPPED }],
  ['stuck', { nat: { ipv4: HARD }, portMapping: { mapping: { ...MAPPED.mapping, forwards: false } } }],
  ['hard', { nat: { ipv4: HARD }, servers: RELAY }],
  ['direct', { nat: { ipv4: HARD, ipv6: { ...NAT, translated: false } } }],
  ['stuck', { nat: { ipv4: HARD } }],
  ['relay-only', { nat: { ipv4: { ...NAT, reachable: false } }, servers: RELAY }],
  ['unknown', { servers: [] }],
  ['stuck', { candidates: [] }],
] as const)('%s', (verdict, findings) => {
  const given = { ...NOTHING, ...findings } as Findings
  expect(judge(given)).toBe(verdict)
  expect(inWords(given, verdict)).toMatch(/^[A-Z]\w+: /m)
})

test.each([
  [undefined, /pcp maps 203\.0\.113\.1:5 to us, 120 minutes at a time$/m],
  [true, /at a time, and lets packets in$/m],
  [false, /at a time, and lets nothing in all the same$/m],
])('whether the mapping forwards: %s', (forwards, words) => {
  const mapping = { ...MAPPED.mapping, ...(forwards !== undefined && { forwards }) }
  expect(inWords({ ...NOTHING, portMapping: { mapping } }, 'open')).toMatch(words)
})
