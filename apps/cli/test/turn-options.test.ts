import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { hasRelay, parseTurnServers } from '../src/ice-servers.ts'
import { readTurnOptions } from '../src/turn/options.ts'

const DEFAULTS = { 'turn-lifetime': '43200' }

beforeEach(() => void vi.stubEnv('FLOE_TURN_SECRET', ''))
afterEach(() => void vi.unstubAllEnvs())

describe('floe serve', () => {
  test('has no TURN server unless told', () => {
    expect(readTurnOptions(DEFAULTS)).toBeUndefined()
  })

  test('--turn has everything by default, and another secret each time', () => {
    const [first, second] = [readTurnOptions({ ...DEFAULTS, turn: true }), readTurnOptions({ ...DEFAULTS, turn: true })]
    expect(first).toMatchObject({ kind: 'own', port: 3478, relayPorts: [49_152, 65_535], lifetime: 43_200_000 })
    expect(first!.secret).toMatch(/^[\w-]{43}$/)
    expect(first!.secret).not.toBe(second!.secret)
  })

  test('--turn-server takes its secret from the environment too', () => {
    vi.stubEnv('FLOE_TURN_SECRET', 'any thing "at all"')
    const urls = ['turns:turn.example.org:443?transport=tcp']
    const options = readTurnOptions({ ...DEFAULTS, 'turn-server': urls, 'turn-lifetime': '0.5' })
    expect(options).toEqual({ kind: 'fleet', urls, secret: 'any thing "at all"', lifetime: 500 })
  })

  const turn = true
  test.each<[Partial<Parameters<typeof readTurnOptions>[0]>, RegExp]>([
    [{ 'turn-port': '3478' }, /--turn-port goes with --turn/],
    [{ 'turn-server': ['turn:h'], 'turn-secret': 's', 'external-ip': '192.0.2.1' }, /--external-ip goes with --turn/],
    [{ 'turn-secret': 'north' }, /--turn-secret goes with/],
    [{ turn, 'turn-server': ['turn:h'], 'turn-secret': 's' }, /take one/],
    [{ turn, 'turn-secret': 'two words' }, /--turn-secret may have/],
    [{ turn, 'turn-secret': 'a\nno-auth' }, /--turn-secret may have/],
    [{ turn, 'turn-secret': '' }, /--turn-secret may have/],
    [{ turn, 'turn-port': '-1' }, /--turn-port/],
    [{ turn, 'turn-ports': '50000' }, /--turn-ports wants/],
    [{ turn, 'turn-ports': '50000-40000' }, /--turn-ports wants/],
    [{ turn, 'turn-ports': '80-90' }, /--turn-ports wants/],
    [{ turn, 'turn-host': 'no/path' }, /--turn-host wants/],
    [{ turn, 'external-ip': 'turn.example.org' }, /--external-ip wants an IP address/],
    [{ turn, 'turn-lifetime': '0' }, /--turn-lifetime/],
    [{ turn, 'turn-cert': 'a.pem' }, /takes a certificate and its key/],
    [{ turn, 'turn-tls-port': '443' }, /takes a certificate and its key/],
    [{ 'turn-key': 'a.key' }, /--turn-key goes with --turn/],
    [{ 'turn-server': ['turn.example.org'], 'turn-secret': 's' }, /--turn-server wants a URL/],
    [{ 'turn-server': ['turn:h'], 'turn-secret': '' }, /needs the secret/],
    [{ 'turn-server': ['turn:h'] }, /needs the secret .* FLOE_TURN_SECRET/],
    [{ 'turn-server': Array(9).fill('turn:h'), 'turn-secret': 's' }, /takes 8/],
  ])('refuses %j', (values, complaint) => {
    const error = expect.objectContaining({ exitCode: 2, message: expect.stringMatching(complaint) })
    expect(() => readTurnOptions({ ...DEFAULTS, ...values })).toThrow(error)
  })
})

describe('floe connect', () => {
  test('takes TURN servers with their credentials', () => {
    const servers = parseTurnServers('connect', ['turn:a', 'turns:b'], 'me', 'x')
    expect(servers).toEqual([{ urls: ['turn:a', 'turns:b'], username: 'me', credential: 'x' }])
    expect([hasRelay(servers), hasRelay([{ urls: 'stun:a' }]), hasRelay([])]).toEqual([true, false, false])
    expect(parseTurnServers('connect', [], undefined, undefined)).toEqual([])
  })

  test.each<[string[], string | undefined, string | undefined, RegExp]>([
    [['turn:h'], undefined, undefined, /go together/],
    [['turn:h'], 'me', undefined, /go together/],
    [[], 'me', 'x', /go together/],
    [['stun:h'], 'me', 'x', /wants a URL/],
  ])('refuses %j %s %s', (urls, username, credential, complaint) => {
    expect(() => parseTurnServers('connect', urls, username, credential)).toThrow(complaint)
  })
})
