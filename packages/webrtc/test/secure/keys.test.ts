import { describe, expect, test } from 'vitest'
import { webcrypto } from '../../src/node/webcrypto.ts'
import { formatHello, type Hello, parseHello } from '../../src/secure/hello.ts'
import { createSecret, KeyAgreement, MIN_SECRET_LENGTH, type Role } from '../../src/secure/keys.ts'
import { Opener, Sealer } from '../../src/secure/sealed.ts'

const FINGERPRINTS = 'a=fingerprint:sha-256 aa:bb'
const SECRET = createSecret()
/** What Node's applications get, and what browsers have; `npm test` runs the latter in Chromium, too. */
const peculiar = webcrypto.subtle as unknown as SubtleCrypto
const native = globalThis.crypto.subtle

async function helloOf(agreement: KeyAgreement, fingerprints = FINGERPRINTS): Promise<string> {
  return formatHello({ version: 1, key: agreement.publicKey, fingerprints, relay: true, secret: false })
}

interface Ends {
  readonly impolite: { sealer: Sealer; opener: Opener }
  readonly polite: { sealer: Sealer; opener: Opener }
}

/** `change`: what somebody on the way makes of the hellos, as the other end sees them. */
async function agree(
  secrets: [string?, string?] = [],
  change: (hello: string) => string = (hello) => hello,
): Promise<Ends> {
  const subtles = { impolite: peculiar, polite: native }
  const agreements = {
    impolite: await KeyAgreement.create(peculiar, secrets[0]),
    polite: await KeyAgreement.create(native, secrets[1]),
  }
  const hellos = { impolite: await helloOf(agreements.impolite), polite: await helloOf(agreements.polite) }
  const end = async (role: Role) => {
    const other = role === 'impolite' ? 'polite' : 'impolite'
    const seen = { ...hellos, [other]: change(hellos[other]) }
    const keys = await agreements[role].deriveKeys(role, seen, agreements[other].publicKey)
    return { sealer: new Sealer(subtles[role], keys.sealing), opener: new Opener(subtles[role], keys.opening) }
  }
  return { impolite: await end('impolite'), polite: await end('polite') }
}

const frame = (text: string) => new TextEncoder().encode(text)

describe('keys', () => {
  test.each([[[]], [[SECRET, SECRET]]] as [[string?, string?]][])('both ends have the same: %j', async (secrets) => {
    const { impolite, polite } = await agree(secrets)
    for (const [from, to] of [
      [impolite, polite],
      [polite, impolite],
    ] as const) {
      for (const text of ['one', 'two', '']) {
        expect(await to.opener.open((await from.sealer.seal(frame(text)))!)).toEqual(frame(text))
      }
      expect(to.opener.faults).toEqual({ missing: 0, repeated: 0, altered: 0 })
    }
  })

  test.each([
    ['another secret', [SECRET, createSecret()], undefined],
    ['a secret at one end only', [SECRET, undefined], undefined],
    ['another fingerprint on the way', [], (hello: string) => hello.replace('aa:bb', 'aa:bc')],
    ['a space on the way', [], (hello: string) => `${hello} `],
  ] as const)('none in common with %s', async (_, secrets, change) => {
    const { impolite, polite } = await agree([...secrets] as [string?, string?], change)
    const sealed = await impolite.sealer.seal(frame('hello'))
    expect(await polite.opener.open(sealed!)).toBeUndefined()
    expect(polite.opener.faults.altered).toBe(1)
  })

  test('a frame that comes back to its sender is not taken for the peer’s', async () => {
    const { impolite } = await agree()
    expect(await impolite.opener.open((await impolite.sealer.seal(frame('hello')))!)).toBeUndefined()
  })

  test('a public key that is no point of the curve is refused', async () => {
    for (const subtle of [peculiar, native]) {
      const agreement = await KeyAgreement.create(subtle)
      const hello = await helloOf(agreement)
      const bad = new Uint8Array(65).fill(4)
      await expect(agreement.deriveKeys('polite', { impolite: hello, polite: hello }, bad)).rejects.toThrow()
    }
  })
})

describe('proof of the secret', () => {
  test('holds for this hello in this role, and for nobody without the secret', async () => {
    const [ours, theirs] = [await KeyAgreement.create(peculiar, SECRET), await KeyAgreement.create(native, SECRET)]
    const hello = await helloOf(theirs)
    const proof = await theirs.prove('polite', hello)
    expect(await ours.verify('polite', hello, proof)).toBe(true)
    expect(await ours.verify('impolite', hello, proof)).toBe(false)
    expect(await ours.verify('polite', `${hello} `, proof)).toBe(false)
    expect(await ours.verify('polite', hello, undefined)).toBe(false)
    expect(await ours.verify('polite', hello, '!')).toBe(false)
    const stranger = await KeyAgreement.create(peculiar, createSecret())
    expect(await stranger.verify('polite', hello, proof)).toBe(false)
    expect(await (await KeyAgreement.create(peculiar)).prove('polite', hello)).toBeUndefined()
  })

  test('secrets are 128 bits', () => {
    expect(SECRET).toHaveLength(MIN_SECRET_LENGTH)
    expect(createSecret()).not.toBe(SECRET)
    // One in 64 would begin with a hyphen, and be taken for an option on a command line.
    for (let i = 0; i < 2_000; i++) expect(createSecret()).toMatch(/^[\w]/)
  })
})

describe('a relay that does what it should not is noticed', () => {
  test.each([
    ['drops', [0, 2], ['0', '2'], { missing: 1, repeated: 0, altered: 0 }],
    ['repeats', [0, 0, 1, 0], ['0', '1'], { missing: 0, repeated: 2, altered: 0 }],
    ['reorders', [1, 0, 2], ['1', '2'], { missing: 1, repeated: 1, altered: 0 }],
  ])('it %s', async (_, order, heard, faults) => {
    const { impolite, polite } = await agree()
    const sealed = []
    for (const text of ['0', '1', '2']) sealed.push((await impolite.sealer.seal(frame(text)))!)
    const opened = []
    for (const index of order) opened.push(await polite.opener.open(sealed[index]!))
    expect(opened.filter((bytes) => bytes !== undefined).map((bytes) => new TextDecoder().decode(bytes))).toEqual(heard)
    expect(polite.opener.faults).toEqual(faults)
  })

  test('it alters: each byte counts, and the true frame is still heard afterwards', async () => {
    const { impolite, polite } = await agree()
    const sealed = (await impolite.sealer.seal(frame('hello')))!
    for (let i = 0; i < sealed.length; i++) {
      const altered = sealed.slice()
      altered[i]! ^= 1
      expect(await polite.opener.open(altered), `byte ${i}`).toBeUndefined()
    }
    for (const length of [0, 5, 21, sealed.length - 1]) {
      expect(await polite.opener.open(sealed.slice(0, length))).toBeUndefined()
    }
    expect(polite.opener.faults.altered).toBe(sealed.length + 4)
    expect(await polite.opener.open(sealed)).toEqual(frame('hello'))
  })
})

describe('hello', () => {
  const key = new Uint8Array(65).fill(4)
  test.each([
    { version: 1, key, fingerprints: FINGERPRINTS, relay: true, secret: true },
    { version: 1, fingerprints: FINGERPRINTS, relay: false, secret: false },
  ] as Hello[])('survives its encoding: %j', (hello) => {
    expect(parseHello(formatHello(hello))).toEqual(hello)
  })

  test.each([
    ['', 'nothing'],
    ['7', 'no object'],
    ['null', 'nothing'],
    ['{"version":2,"fingerprints":"x","relay":false,"secret":false}', 'another version'],
    ['{"version":1,"relay":false,"secret":false}', 'no fingerprint'],
    ['{"version":1,"fingerprints":"","relay":false,"secret":false}', 'an empty fingerprint'],
    ['{"version":1,"fingerprints":"x","relay":true,"secret":false}', 'a relay without a key'],
    ['{"version":1,"fingerprints":"x","relay":true,"secret":false,"key":"AAAA"}', 'a short key'],
    ['{"version":1,"fingerprints":"x","relay":true,"secret":false,"key":7}', 'a key that is none'],
    [`{"version":1,"fingerprints":"${'x'.repeat(3000)}","relay":false,"secret":false}`, 'too much'],
  ])('%s is none: %s', (text) => {
    expect(parseHello(text)).toBeUndefined()
  })
})
