import { expect, test } from 'vitest'
import { RTCErrorEvent } from '../../src/node/events.ts'
import { RTCError } from '../../src/node/rtc-error.ts'

/* webrtc-pc §11: RTCError and RTCErrorEvent. */

test('RTCError is an OperationError with details', () => {
  const error = new RTCError({ errorDetail: 'data-channel-failure' }, 'message')
  expect(error).toBeInstanceOf(DOMException)
  expect(error).toBeInstanceOf(Error)
  expect([error.name, error.message, error.code]).toEqual(['OperationError', 'message', 0])
  expect(error).toMatchObject({
    errorDetail: 'data-channel-failure',
    sdpLineNumber: null,
    sctpCauseCode: null,
    receivedAlert: null,
    sentAlert: null,
  })
  const details = {
    errorDetail: 'sctp-failure',
    sdpLineNumber: 1,
    sctpCauseCode: 12,
    receivedAlert: 2,
    sentAlert: 3,
  } as const
  const cause = new Error('below')
  expect(new RTCError({ ...details, cause })).toMatchObject({ ...details, message: '', cause })
})

test.each([undefined, null, {}, { errorDetail: 'unknown' }, 'data-channel-failure'])(
  '%j is no RTCErrorInit',
  (init) => {
    expect(() => new RTCError(init as never)).toThrow(TypeError)
  },
)

test('RTCErrorEvent has one', () => {
  const error = new RTCError({ errorDetail: 'dtls-failure' })
  expect(new RTCErrorEvent('error', { error })).toMatchObject({
    type: 'error',
    error,
    bubbles: false,
    cancelable: false,
  })
  for (const init of [undefined, null, {}, { error: null }, { error: new Error('other') }]) {
    expect(() => new RTCErrorEvent('error', init as never)).toThrow(TypeError)
  }
})
