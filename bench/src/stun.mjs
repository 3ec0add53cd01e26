/** The codec on a connectivity check: @floe/stun against werift's. */
import { randomBytes } from 'node:crypto'
import { decode, encode, newTransactionId, shortTermKey, verifyIntegrity } from '@floe/stun'
import { classes, Message, methods, parseMessage } from 'werift'
import { report } from './report.mjs'
import { ratesOf } from './rounds.mjs'

const password = 'VOkJxbRl1RmTxUk/WvJxBt'
const username = 'evtj:h6vY'
const priority = 0x6e0001ff
const tieBreaker = 0x932ff9b151263b36n

const key = shortTermKey(password)
const id = randomBytes(12)
const message = {
  method: 'binding',
  class: 'request',
  transactionId: newTransactionId(() => id),
  attributes: { username, priority, iceControlling: tieBreaker, useCandidate: true },
}
const buildOurs = () => encode(message, { key, fingerprint: true })

const passwordBytes = Buffer.from(password)
function buildTheirs() {
  const request = new Message(methods.BINDING, classes.REQUEST, id)
  request.setAttribute('USERNAME', username)
  request.setAttribute('PRIORITY', priority)
  request.setAttribute('ICE-CONTROLLING', tieBreaker)
  request.setAttribute('USE-CANDIDATE', null)
  request.addMessageIntegrity(passwordBytes)
  request.addFingerprint()
  return request.bytes
}

// As dgram gives them: a Buffer.
const wire = Buffer.from(buildOurs())
if (!wire.equals(buildTheirs())) throw new Error('the two codecs do not write the same check')
const parseAndVerify = {
  ours: () => verifyIntegrity(decode(wire), key),
  theirs: () => parseMessage(wire, passwordBytes) !== undefined,
}
if (!parseAndVerify.ours() || !parseAndVerify.theirs()) throw new Error('a codec does not verify the check')

const built = ratesOf({ ours: buildOurs, theirs: buildTheirs })
const parsed = ratesOf({ ours: () => decode(wire), theirs: () => parseMessage(wire) })
const verified = ratesOf(parseAndVerify)

const row = (what, { ours, theirs }, target) => ({ what, unit: '1/s', ours, peer: theirs, better: 'higher', target })
report('stun', `STUN: a connectivity check of ${wire.length} bytes, medians of interleaved rounds`, 'werift', [
  row('build, MESSAGE-INTEGRITY, FINGERPRINT', built, 10),
  row('parse', parsed, 6),
  row('parse and verify', verified, 4),
])
