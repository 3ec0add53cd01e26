import { createHmac } from 'node:crypto'
import { joinRoom } from '@floe/signaling'
import { createSignalingServer, issueRoomToken, type JoinRequest } from '@floe/signaling/server'
import { describe, expect, test } from 'vitest'
import { verifyRoomToken } from '../src/tokens.ts'
import { Cable } from './cable.ts'
import { reached } from './listen.ts'

const secret = 's'.repeat(32)
const now = 1_800_000_000_000

/** What another language's library would make. */
function jwt(header: object, claims: object, key = secret): string {
  const content = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${content}.${createHmac('sha256', key).update(content).digest('base64url')}`
}

describe('a room token', () => {
  test('says which room, for whom and until when', () => {
    const token = issueRoomToken({ secret, room: 'blue', user: 'ann', lifetime: 60_000, now })
    expect(verifyRoomToken(token, [secret], now)).toEqual({ room: 'blue', user: 'ann', expires: now + 60_000 })
    expect(verifyRoomToken(token, ['x'.repeat(32), secret], now)).toMatchObject({ room: 'blue' })
  })

  test('may come from anybody who knows the secret', () => {
    const token = jwt({ typ: 'JWT', alg: 'HS256' }, { room: 'blue', exp: now / 1000 + 60, iat: 1, iss: 'you' })
    expect(verifyRoomToken(token, [secret], now)).toMatchObject({ room: 'blue', user: undefined })
  })

  const exp = now / 1000 + 60
  const worthless: [why: string, token: string, reason: RegExp][] = [
    ['it is nothing', '', /no token/],
    ['it is noise', 'a.b.c', /HS256/],
    ['it names no algorithm', jwt({ alg: 'none' }, { room: 'blue', exp }), /HS256/],
    ['it names another algorithm', jwt({ alg: 'RS256' }, { room: 'blue', exp }), /HS256/],
    ['it has no signature', jwt({ alg: 'HS256' }, { room: 'blue', exp }).replace(/[^.]*$/, ''), /signature/],
    ['another secret signed it', jwt({ alg: 'HS256' }, { room: 'blue', exp }, 'x'.repeat(32)), /signature/],
    ['it has expired', jwt({ alg: 'HS256' }, { room: 'blue', exp: now / 1000 - 6 }), /expired/],
    ['it never expires', jwt({ alg: 'HS256' }, { room: 'blue' }), /exp/],
    ['it is for later', jwt({ alg: 'HS256' }, { room: 'blue', exp, nbf: exp - 30 }), /not valid yet/],
    ['it names no room', jwt({ alg: 'HS256' }, { exp }), /room/],
  ]
  test.each(worthless)('counts for nothing when %s', (_why, token, reason) => {
    expect(verifyRoomToken(token, [secret], now)).toMatch(reason)
  })

  test('wants a secret that nobody can try out, and a room that can be', () => {
    const argument = expect.objectContaining({ code: 'ERR_SIGNALING_ARGUMENT' })
    expect(() => issueRoomToken({ secret: 'short', room: 'blue' })).toThrow(argument)
    expect(() => issueRoomToken({ secret, room: 'two words' })).toThrow(argument)
    expect(() => issueRoomToken({ secret, room: 'blue', lifetime: 0 })).toThrow(argument)
  })
})

describe('a server with a token secret', () => {
  test('lets in who has one for this room, and tells the others why not', async () => {
    await expect(createSignalingServer({ tokenSecret: 'short' })).rejects.toMatchObject({
      code: 'ERR_SIGNALING_ARGUMENT',
    })
    await using server = await createSignalingServer({ tokenSecret: [secret] })
    await using room = await joinRoom(server.url, { room: 'blue', token: issueRoomToken({ secret, room: 'blue' }) })
    expect(room.state).toBe('open')
    const code = 'ERR_SIGNALING_TOKEN'
    await expect(joinRoom(server.url, { room: 'blue' })).rejects.toMatchObject({ code, message: /there is none/ })
    const other = issueRoomToken({ secret, room: 'red' })
    await expect(joinRoom(server.url, { room: 'blue', token: other })).rejects.toMatchObject({
      code,
      message: /another room/,
    })
    expect(server.peersIn('blue')).toBe(1)
  })

  test('asks again after an interruption: a client that can get a new token comes back', async () => {
    await using server = await createSignalingServer({ tokenSecret: secret })
    await using cable = await Cable.to(server.url)
    let asked = 0
    const token = async () => {
      asked += 1
      return issueRoomToken({ secret, room: 'blue' })
    }
    await using room = await joinRoom(cable.url, { room: 'blue', token })
    cable.pull()
    await reached(room, 'interrupted')
    cable.plug()
    await reached(room, 'open')
    expect(asked).toBeGreaterThan(1)
  })
})

describe('authorize', () => {
  test('has the last word, at once or later', async () => {
    const asked: JoinRequest[] = []
    await using server = await createSignalingServer({
      tokenSecret: secret,
      authorize: (request) => {
        asked.push(request)
        if (request.room === 'late') return Promise.resolve(true)
        return request.user === 'ann' || 'Only Ann may come in.'
      },
    })
    const join = (room: string, user: string) =>
      joinRoom(server.url, { room, token: issueRoomToken({ secret, room, user }) })
    await using ann = await join('blue', 'ann')
    await using later = await join('late', 'bob')
    expect([ann.state, later.state]).toEqual(['open', 'open'])
    await expect(join('blue', 'bob')).rejects.toMatchObject({
      code: 'ERR_SIGNALING_FORBIDDEN',
      message: 'Only Ann may come in.',
    })
    expect(asked[0]).toMatchObject({ room: 'blue', agent: 'node', address: '127.0.0.1', user: 'ann' })
    expect(asked[0]?.headers.host).toBe(new URL(server.url).host)
  })

  test('that fails lets nobody in', async () => {
    await using server = await createSignalingServer({
      authorize: () => {
        throw new Error('the database is gone')
      },
    })
    const warned = new Promise((resolve) => process.once('warning', resolve))
    await expect(joinRoom(server.url, { room: 'blue' })).rejects.toMatchObject({ code: 'ERR_SIGNALING_FORBIDDEN' })
    expect(await warned).toMatchObject({ message: 'the database is gone' })
  })
})
