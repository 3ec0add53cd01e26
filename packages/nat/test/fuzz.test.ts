import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseTarget } from '../src/http.ts'
import {
  decodeNatPmpResponse,
  decodePcpResponse,
  encodeMapRequest,
  PortMapping,
  type PortMappingOutput,
  parseDescription,
  parseSearchResponse,
} from '../src/index.ts'
import { refusedVersion } from '../src/pcp-message.ts'
import { parseSoapResponse } from '../src/soap.ts'
import { parseDeviceNote } from '../src/ssdp.ts'
import { describeIgd, IgdRouter, soapFault, ssdpAnswer } from './igd-router.ts'
import { NatPmpRouter, PcpRouter, pcpResponse } from './routers.ts'
import { CONTROL, GATEWAY, INTERNAL, seeded, Wire } from './virtual-time.ts'

const LOCATION = { port: 80, path: '/' }

/** Noise, and real packets cut and altered. */
const hostileBytes = fc.oneof(
  fc.uint8Array({ maxLength: 1200 }),
  fc
    .tuple(
      fc.constantFrom(
        pcpResponse(0x80, 0, 0, 9),
        new Uint8Array([...pcpResponse(0x81, 0, 7200, 9), ...new Array(36).fill(7)]),
        Uint8Array.of(0, 0x80, 0, 0, 0, 0, 0, 9, 203, 0, 113, 7),
        Uint8Array.of(0, 0x81, 0, 0, 0, 0, 0, 9, 0x13, 0x88, 0x9c, 0x40, 0, 0, 0x1c, 0x20),
        Uint8Array.of(0, 0x81, 0, 1, 0, 0, 0, 0),
        new Uint8Array(ssdpAnswer('upnp:rootdevice', 'http://192.168.1.1:5000/desc.xml')),
        new Uint8Array(new IgdRouter().notify('alive', { bootId: 2_000 })),
        new Uint8Array(new IgdRouter().notify('byebye')),
      ),
      fc.nat(400),
      fc.nat(255),
      fc.nat(400),
    )
    .map(([original, position, value, length]) => {
      const bytes = original.slice(0, Math.max(1, length))
      bytes[position % bytes.length] = value
      return bytes
    }),
)

const hostileText = fc.oneof(
  fc.string({ maxLength: 500 }),
  fc
    .tuple(fc.constantFrom(describeIgd(1), describeIgd(2), soapFault(718)), fc.nat(2000), fc.nat(2000), fc.string())
    .map(([text, from, to, insert]) => text.slice(0, from) + insert + text.slice(to)),
)

test('no bytes make a decoder throw', () => {
  fc.assert(
    fc.property(hostileBytes, (bytes) => {
      decodePcpResponse(bytes)
      decodeNatPmpResponse(bytes)
      refusedVersion(bytes)
      parseSearchResponse(bytes)
      parseDeviceNote(bytes)
    }),
    { numRuns: 5_000 },
  )
})

test('no text makes a parser throw, and no URL leads to a line that is not one', () => {
  fc.assert(
    fc.property(hostileText, (text) => {
      for (const { path, port } of parseDescription(text, LOCATION)) {
        expect(path).toMatch(/^\/[!-~]*$/)
        expect(port).toBeGreaterThan(0)
      }
      parseSoapResponse('AddPortMapping', text)
      const target = parseTarget(text)
      if (target) expect(target.path).toMatch(/^\/[!-~]*$/)
    }),
    { numRuns: 3_000 },
  )
})

test('a MAP request and its answer carry the same', () => {
  const octet = fc.nat(255)
  const ip = fc.tuple(octet, octet, octet, octet).map((bytes) => bytes.join('.'))
  const port = fc.nat(65535)
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 12, maxLength: 12 }), port, port, ip, fc.nat(), (nonce, a, b, eip, life) => {
      const map = { nonce, protocol: 17, internalPort: a, externalPort: b, externalIp: eip }
      const bytes = encodeMapRequest({ clientIp: '10.0.0.1', lifetime: life, map })
      bytes[1]! |= 0x80
      bytes.fill(0, 8, 12)
      expect(decodePcpResponse(bytes)).toEqual({ opcode: 1, result: 0, lifetime: life, epoch: 0, map })
    }),
  )
})

test('hostile packets and responses never throw, never end a mapping, and cost little', () => {
  const attack = fc.record({
    bytes: hostileBytes,
    ip: fc.constantFrom(GATEWAY, '192.168.1.66'),
    port: fc.constantFrom(5351, 1900, 5350, 80),
    to: fc.constantFrom(CONTROL, { ip: '0.0.0.0', port: 5350 }, { ip: CONTROL.ip, port: 1900 }),
    text: hostileText,
    wait: fc.nat(50),
  })
  fc.assert(
    fc.property(fc.array(attack, { minLength: 1, maxLength: 60 }), fc.nat(3), fc.nat(), (attacks, kind, seed) => {
      const options = { internal: INTERNAL, control: CONTROL, gateway: GATEWAY, random: seeded(seed) }
      const router = [new PcpRouter(), new NatPmpRouter(), new IgdRouter(), {}][kind]!
      const wire = new Wire<PortMappingOutput>((now) => new PortMapping(now, options), router)
      wire.run(1_000)
      const before = wire.sent.length
      const from = wire.now
      for (const { bytes, ip, port, to, text, wait } of attacks) {
        wire.deliver(bytes, { ip, port }, to)
        wire.machine.handleResponse!(wire.now, wire.requests.length, { status: 200, body: text })
        wire.run(wait)
      }
      // Two packets a second for the mapping itself, the schedule of a search, and one revival.
      expect(wire.sent.length - before).toBeLessThan(30 + ((wire.now - from) / 1000) * 4)
      if (kind < 3) expect(wire.types()).not.toContain('lost')
    }),
    { numRuns: 300 },
  )
})
