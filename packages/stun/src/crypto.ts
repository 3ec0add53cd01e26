/** The portable half of `#crypto`: what a browser gets, and what Node uses too, where it is the faster one. */
export { crc32 } from './crc32.ts'
export { Hmac, md5, sha256 } from './digest.ts'
