/** The sample messages of RFC 5769 §2 and RFC 8489 Appendix B, with what the RFCs say is in them. */
import type { Message } from '../../src/index.ts'
import { longTermKey, shortTermKey } from '../../src/index.ts'
import { hex } from './hex.ts'

const shortTerm = shortTermKey('VOkJxbRl1RmTxUk/WvJxBt')
const realm = 'example.org'
/** Before preparation: two soft hyphens, a feminine ordinal indicator, a Roman numeral nine. Prepared: TheMatrIX. */
export const PASSWORD = 'The\u00adM\u00aatr\u2168'
export const USERNAME = '\u30de\u30c8\u30ea\u30c3\u30af\u30b9'
const ID = '\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae'
const LONG_TERM_ID = '\x78\xad\x34\x33\xc6\xad\x72\xc0\x29\xda\x41\x2e'

export const VECTORS = [
  {
    name: 'RFC 5769 §2.1, request',
    bytes: hex(`00010058 2112a442 b7e7a701 bc34d686 fa87dfae
      80220010 5354554e 20746573 7420636c 69656e74
      00240004 6e0001ff
      80290008 932ff9b1 51263b36
      00060009 6576746a 3a683676 59202020
      00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2
      80280004 e57a3bcf`),
    key: shortTerm,
    integrity: 'sha1',
    fingerprint: true,
    message: {
      method: 'binding',
      class: 'request',
      transactionId: ID,
      attributes: {
        software: 'STUN test client',
        priority: 0x6e0001ff,
        iceControlled: 0x932ff9b151263b36n,
        username: 'evtj:h6vY',
      },
    },
  },
  {
    name: 'RFC 5769 §2.2, IPv4 response',
    bytes: hex(`0101003c 2112a442 b7e7a701 bc34d686 fa87dfae
      8022000b 74657374 20766563 746f7220
      00200008 0001a147 e112a643
      00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
      80280004 c07d4c96`),
    key: shortTerm,
    integrity: 'sha1',
    fingerprint: true,
    message: {
      method: 'binding',
      class: 'success',
      transactionId: ID,
      attributes: { software: 'test vector', xorMappedAddress: { ip: '192.0.2.1', port: 32853 } },
    },
  },
  {
    name: 'RFC 5769 §2.3, IPv6 response',
    bytes: hex(`01010048 2112a442 b7e7a701 bc34d686 fa87dfae
      8022000b 74657374 20766563 746f7220
      00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9
      00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41
      80280004 c8fb0b4c`),
    key: shortTerm,
    integrity: 'sha1',
    fingerprint: true,
    message: {
      method: 'binding',
      class: 'success',
      transactionId: ID,
      attributes: {
        software: 'test vector',
        xorMappedAddress: { ip: '2001:db8:1234:5678:11:2233:4455:6677', port: 32853 },
      },
    },
  },
  {
    name: 'RFC 5769 §2.4, request with a long-term credential',
    bytes: hex(`00010060 2112a442 78ad3433 c6ad72c0 29da412e
      00060012 e3839ee3 8388e383 aae38383 e382afe3 82b90000
      0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341
      0014000b 6578616d 706c652e 6f726700
      00080014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666`),
    key: longTermKey(USERNAME, realm, PASSWORD),
    integrity: 'sha1',
    fingerprint: false,
    message: {
      method: 'binding',
      class: 'request',
      transactionId: LONG_TERM_ID,
      attributes: { username: USERNAME, nonce: 'f//499k954d6OL34oL9FSTvy64sA', realm },
    },
  },
  {
    // As corrected by erratum 6268: length, padding of PASSWORD-ALGORITHM and code were wrong.
    name: 'RFC 8489 §B.1, request with USERHASH and MESSAGE-INTEGRITY-SHA256',
    bytes: hex(`00010090 2112a442 78ad3433 c6ad72c0 29da412e
      001e0020 4a3cf38f ef6992bd a952c678 0417da0f 24819415 569e60b2 05c46e41 407f1704
      00150029 6f624d61 744a6f73 32414141 43662f2f 3439396b 39353464 364f4c33 346f4c39 46535476 79363473 41000000
      0014000b 6578616d 706c652e 6f726700
      001d0004 00020000
      001c0020 b5c7bf00 5b6c52a2 1c51c5e8 92f81924 136296cb 927c4314 9309278c c6518e65`),
    key: longTermKey(USERNAME, realm, PASSWORD, 'sha256'),
    integrity: 'sha256',
    fingerprint: false,
    message: {
      method: 'binding',
      class: 'request',
      transactionId: LONG_TERM_ID,
      attributes: {
        userhash: hex('4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704'),
        nonce: 'obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA',
        realm,
        passwordAlgorithm: { algorithm: 2, parameters: new Uint8Array() },
      },
    },
  },
] as const satisfies readonly {
  name: string
  bytes: Uint8Array
  key: ReturnType<typeof shortTermKey>
  integrity: 'sha1' | 'sha256'
  fingerprint: boolean
  message: Message
}[]
