import { afterEach, expect, test, vi } from 'vitest'
import * as webrtc from '../src/node/index.ts'

const names = Object.keys(webrtc).filter((name) => name.startsWith('RTC'))

afterEach(() => {
  for (const name of names) Reflect.deleteProperty(globalThis, name)
})

test('every interface is a global, as Web IDL defines them', async () => {
  vi.resetModules()
  expect(names).toContain('RTCPeerConnection')
  expect(names.filter((name) => name in globalThis)).toEqual([])
  await import('../src/node/polyfill.ts')
  for (const name of names) {
    const { value, ...attributes } = Object.getOwnPropertyDescriptor(globalThis, name)!
    expect(value.name).toBe(name)
    expect(attributes).toEqual({ writable: true, enumerable: false, configurable: true })
  }
  const peer = new RTCPeerConnection()
  const channel = peer.createDataChannel('x')
  expect([peer instanceof RTCPeerConnection, channel instanceof RTCDataChannel]).toEqual([true, true])
  expect(await peer.getStats()).toBeInstanceOf(RTCStatsReport)
  peer.close()
})

test('class strings and members are those of Web IDL', async () => {
  for (const [name, value] of Object.entries(webrtc)) {
    if (!names.includes(name)) continue
    const { prototype } = value as typeof webrtc.RTCDataChannel
    expect(Object.prototype.toString.call(Object.create(prototype))).toBe(`[object ${name}]`)
    for (const [member, { enumerable }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      expect([member, enumerable]).toEqual([member, member !== 'constructor'])
    }
  }
  const peer = new webrtc.RTCPeerConnection()
  const members = []
  for (const member in peer.createDataChannel('x')) members.push(member)
  expect(members).toEqual(expect.arrayContaining(['label', 'send', 'onmessage', 'addEventListener']))
  expect(String(peer)).toBe('[object RTCPeerConnection]')
  await peer.close()
})

test('a WebRTC that is there already stays as it is, without parts of ours', async () => {
  vi.resetModules()
  const native = class {}
  Object.defineProperty(globalThis, 'RTCPeerConnection', { value: native, configurable: true })
  await import('../src/node/polyfill.ts')
  expect(RTCPeerConnection).toBe(native)
  expect('RTCDataChannel' in globalThis).toBe(false)
})

test('where WebRTC is built in, the entry does nothing', async () => {
  expect(Object.keys(await import('../src/polyfill.ts'))).toEqual([])
  expect('RTCPeerConnection' in globalThis).toBe(false)
})
