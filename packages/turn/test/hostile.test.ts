/** Any calls in any order, and a server that says anything, also with the right key: never a throw, never a flood. */
import { type Attributes, decode, encode, type Method } from '@floe/stun'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TurnError } from '../src/index.ts'
import { CHALLENGE, channelData, dataIndication, GRANT, KEY, local, peer, relayed, Script, server } from './script.ts'

const METHODS: readonly Method[] = ['allocate', 'refresh', 'createPermission', 'channelBind', 'binding', 'send', 'data']
const IPS = ['203.0.113.9', '203.0.113.10', '2001:db8::9', 'fe80::1%eth0']

const text = fc.oneof(
  fc.constantFrom('realm', 'nonce', 'obMatJos2AAAB', 'obMatJos2AAADx', ''),
  fc.string({ maxLength: 300 }),
)
const address = fc.record({
  ip: fc.constantFrom('203.0.113.9', '192.0.2.1', '2001:db8::9', '0.0.0.0'),
  port: fc.nat(0xffff),
})
const blob = fc.uint8Array({ maxLength: 2_000 })
const algorithm = fc.record({ algorithm: fc.nat(4), parameters: fc.uint8Array({ maxLength: 80 }) })
const codes = fc.constantFrom(300, 400, 401, 403, 405, 420, 437, 438, 440, 441, 442, 443, 486, 500, 508, 599, 699)

/** What a server might put into an answer, sensible or not. */
const attributes: fc.Arbitrary<Attributes> = fc.record(
  {
    realm: text,
    nonce: text,
    passwordAlgorithms: fc.array(algorithm, { maxLength: 20 }),
    xorRelayedAddress: fc.array(address, { minLength: 1, maxLength: 3 }),
    xorMappedAddress: address,
    lifetime: fc.oneof(fc.constantFrom(0, 1, 10, 600, 0xffffffff), fc.nat(1_000)),
    alternateServer: address,
    alternateDomain: fc.string({ maxLength: 60 }),
    mobilityTicket: blob,
    unknownAttributes: fc.array(fc.constantFrom(0x1a, 0x17, 0x8000, 0x8030, 0x1234), { maxLength: 4 }),
    addressErrorCode: fc.record({ family: fc.constantFrom(4, 6), code: codes, reason: fc.string({ maxLength: 20 }) }),
    xorPeerAddress: fc.array(address, { minLength: 1, maxLength: 3 }),
    data: blob,
  },
  { requiredKeys: [] },
)

type Step =
  | { readonly do: 'permit' | 'remove' | 'bind' | 'send'; readonly ip: number; readonly port: number }
  | { readonly do: 'move' | 'close' }
  | { readonly do: 'wait'; readonly ms: number }
  /** Answers the request sent `back` requests ago. */
  | {
      readonly do: 'answer'
      readonly back: number
      readonly attributes: Attributes
      readonly code: number
      readonly signed: boolean
    }
  | { readonly do: 'proper'; readonly back: number }
  | { readonly do: 'bytes'; readonly bytes: Uint8Array }
  /** A packet of the server's with some bytes changed. */
  | { readonly do: 'garble'; readonly back: number; readonly at: number; readonly to: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('permit', 'remove', 'bind', 'send'), ip: fc.nat(3), port: fc.nat(4) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('move', 'close') }) },
  fc.record({ do: fc.constant('wait'), ms: fc.oneof(fc.nat(500), fc.nat(700_000)) }),
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('answer'),
      back: fc.nat(3),
      attributes,
      code: fc.oneof(fc.constant(0), codes),
      signed: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('proper'), back: fc.nat(2) }) },
  fc.record({
    do: fc.constant('bytes'),
    bytes: fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.uint8Array({ maxLength: 30 }).map((data) => channelData(0x4000 + (data[0] ?? 0), [...data])),
      fc.tuple(address, fc.uint8Array({ maxLength: 30 })).map(([from, data]) => dataIndication(from, [...data])),
    ),
  }),
  fc.record({ do: fc.constant('garble'), back: fc.nat(2), at: fc.nat(200), to: fc.nat(255) }),
)

test('any steps', () => {
  fc.assert(
    fc.property(
      fc.record({
        families: fc.constantFrom<readonly (4 | 6)[]>([4], [6], [4, 6]),
        mobility: fc.boolean(),
        dontFragment: fc.boolean(),
      }),
      fc.constantFrom('udp', 'tcp'),
      // How far a proper server gets before it turns odd: challenge, grant, permission, channel.
      fc.nat(4),
      fc.array(step, { maxLength: 60 }),
      (options, protocol, proper, steps) => {
        const script = new Script({ ...options, protocol })
        script.do((allocation, now) => allocation.allocate(now))
        script.do((allocation, now) => allocation.bindChannel(now, peer))
        for (let i = 0; i < proper; i++) perform(script, { do: 'proper', back: i === 2 ? 1 : 0 })
        let ended = false
        for (const one of steps) {
          const sent = script.packets.length
          perform(script, one)
          ended = checkOutputs(script, ended)
          if (one.do !== 'wait') expect(script.packets.length - sent).toBeLessThanOrEqual(20)
        }
      },
    ),
    { numRuns: 1_500 },
  )
})

function perform(script: Script, step: Step): void {
  switch (step.do) {
    case 'permit':
      return script.do((allocation, now) => allocation.createPermission(now, IPS[step.ip]!))
    case 'remove':
      return script.do((allocation) => allocation.removePermission(IPS[step.ip]!))
    case 'bind':
      return script.do((allocation, now) => allocation.bindChannel(now, { ip: IPS[step.ip]!, port: step.port }))
    case 'send':
      script.do((allocation, now) => allocation.send(now, { ip: IPS[step.ip]!, port: step.port }, Uint8Array.of(1, 2)))
      return
    case 'move':
      return script.do((allocation, now) => {
        if (allocation.movable) allocation.move(now, { ip: local.ip, port: local.port + 1 })
        else expect(() => allocation.move(now, local)).toThrow(TurnError)
      })
    case 'close':
      return script.do((allocation, now) => allocation.close(now))
    case 'wait': {
      const sent = script.packets.length
      script.runTo(script.now + step.ms)
      // Refreshes of a short lifetime may come every second; requests are repeated seven times.
      expect(script.packets.length - sent).toBeLessThanOrEqual(70 + (step.ms / 1_000) * 8)
      return
    }
    case 'bytes':
      script.deliver(step.bytes)
      return
    default:
      answer(script, step)
  }
}

function answer(script: Script, step: Extract<Step, { do: 'answer' | 'proper' | 'garble' }>): void {
  const requests = script.packets.map(({ bytes }) => decode(bytes)!).filter((message) => message?.class === 'request')
  const request = requests.at(-1 - step.back)
  if (!request) return
  const { method, transactionId } = request
  const bare = request.integrityOffset === 0
  const right = bare ? CHALLENGE : method === 'allocate' ? { ...GRANT, ...extras(request.attributes) } : {}
  const said = step.do === 'answer' ? step.attributes : right
  const code = step.do === 'answer' ? step.code : (right.errorCode?.code ?? 0)
  const attributes = code === 0 ? said : { ...said, errorCode: { code, reason: 'so it is' } }
  const signed = step.do === 'answer' ? step.signed : !bare
  const message = { method, class: code === 0 ? 'success' : 'error', transactionId, attributes } as const
  const bytes = encode(message, { key: signed ? KEY : undefined })
  if (step.do === 'garble') bytes[step.at % bytes.length] = step.to
  script.deliver(bytes)
}

function extras({ additionalAddressFamily, mobilityTicket }: Attributes): Attributes {
  return {
    xorRelayedAddress: additionalAddressFamily ? [relayed, { ip: '2001:db8:1::1', port: 5 }] : [relayed],
    ...(mobilityTicket && { mobilityTicket: Uint8Array.of(1, 2, 3) }),
  }
}

/** Outputs in an order that makes sense. Returns whether this allocation has ended. */
function checkOutputs(script: Script, ended: boolean): boolean {
  let over = ended
  for (const output of script.take()) {
    if (over && output.type !== 'released') throw new Error(`${output.type} after the end`)
    if (['redirect', 'mismatch', 'failed', 'released'].includes(output.type)) over = true
  }
  const { allocation } = script
  expect(Number.isNaN(allocation.timeout())).toBe(false)
  expect(allocation.state === 'ended').toBe(over)
  if (over) expect(allocation.timeout()).toBe(Number.POSITIVE_INFINITY)
  return over
}

test('every method and class that there is, at once, with and without the key', () => {
  const script = new Script().bind()
  for (const method of METHODS)
    for (const kind of ['request', 'indication', 'success', 'error'] as const)
      for (const key of [KEY, undefined]) {
        const bytes = tryEncode(() =>
          encode({ method, class: kind, transactionId: 'not-our-own!', attributes: {} }, { key }),
        )
        if (bytes) script.deliver(bytes)
      }
  expect(script.take()).toEqual([])
  expect(script.do((allocation, now) => allocation.send(now, peer, Uint8Array.of(1)))).toBe(true)
  expect(script.packets.at(-1)).toMatchObject({ remote: server })
})

function tryEncode(make: () => Uint8Array): Uint8Array | undefined {
  try {
    return make()
  } catch {
    return undefined // No such class of this method.
  }
}
