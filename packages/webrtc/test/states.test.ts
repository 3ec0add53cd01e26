import { expect, test } from 'vitest'
import { connectionState, iceConnectionState, iceGatheringState, type TransportStates } from '../src/node/states.ts'

function transport(ice: TransportStates['ice'], dtls: TransportStates['dtls'] = 'new'): TransportStates {
  return { ice, dtls, gathering: 'new' }
}

test.each([
  [[], 'new', 'new'],
  [[transport('new')], 'new', 'new'],
  [[transport('checking')], 'connecting', 'checking'],
  [[transport('connected', 'connecting')], 'connecting', 'connected'],
  [[transport('connected', 'connected')], 'connected', 'connected'],
  [[transport('completed', 'connected'), transport('closed', 'closed')], 'connected', 'completed'],
  [[transport('connected', 'connected'), transport('new')], 'connecting', 'checking'],
  [[transport('disconnected', 'connected'), transport('connected', 'connected')], 'disconnected', 'disconnected'],
  [[transport('disconnected', 'connected'), transport('failed', 'connected')], 'failed', 'failed'],
  [[transport('closed', 'failed')], 'failed', 'new'],
] as const)('%j: connection %s, ICE %s', (transports, connection, ice) => {
  expect([connectionState(transports), iceConnectionState(transports)]).toEqual([connection, ice])
})

test('gathering', () => {
  const summary = (...gathering: RTCIceGatheringState[]) =>
    iceGatheringState(gathering.map((state) => ({ ...transport('new'), gathering: state })))
  expect(summary()).toBe('new')
  expect(summary('complete', 'gathering')).toBe('gathering')
  expect(summary('complete', 'new')).toBe('new')
  expect(summary('complete', 'complete')).toBe('complete')
})
