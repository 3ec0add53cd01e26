import { Crypto } from '@peculiar/webcrypto'

/**
 * The WebCrypto of everything in this package that is not on the wire's hot path: keys and certificates, and code that
 * is shared with the browser. @peculiar/webcrypto works on node:crypto in the calling thread, where Node's own `subtle`
 * pays a thread-pool round trip for every operation, however small.
 */
export const webcrypto: Crypto = new Crypto()
