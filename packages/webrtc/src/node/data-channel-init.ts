import { type ChannelParameters, MAX_NAME_BYTES } from './dcep.ts'
import { dictionary, enforceRange, usvString } from './webidl.ts'

/** RFC 8832 §6: 65535 is not to be used. */
const MAX_ID = 65_534
const UNSIGNED_SHORT = 65_535

/** W3C RTCDataChannelInit, checked, with the id of a channel that both ends agreed on otherwise. */
export interface CheckedChannelInit {
  readonly parameters: ChannelParameters
  readonly id: number | undefined
}

/** webrtc-pc §6.1, createDataChannel(), steps 3 to 18: throws TypeError for what it refuses. */
export function checkChannelInit(label: unknown, init: RTCDataChannelInit | null | undefined): CheckedChannelInit {
  const {
    ordered = true,
    maxPacketLifeTime,
    maxRetransmits,
    protocol = '',
    negotiated = false,
    id,
  } = dictionary(init, 'RTCDataChannelInit')
  const checkedId = id === undefined ? undefined : enforceRange(id, UNSIGNED_SHORT, 'The id of a data channel')
  const parameters = {
    label: name(label, 'label'),
    protocol: name(protocol, 'protocol'),
    ordered: Boolean(ordered),
    maxRetransmits: limit(maxRetransmits, 'maxRetransmits'),
    maxPacketLifeTime: limit(maxPacketLifeTime, 'maxPacketLifeTime'),
  }
  if (parameters.maxRetransmits !== null && parameters.maxPacketLifeTime !== null) {
    throw new TypeError('A data channel can limit retransmissions or life time, not both')
  }
  // Only then has the application a say in it.
  if (!negotiated) return { parameters, id: undefined }
  if (checkedId === undefined) throw new TypeError('A negotiated data channel needs an id')
  if (checkedId > MAX_ID) throw new TypeError(`The id of a data channel can be at most ${MAX_ID}`)
  return { parameters, id: checkedId }
}

function name(value: unknown, what: string): string {
  const text = usvString(value)
  const bytes = Buffer.byteLength(text)
  if (bytes > MAX_NAME_BYTES) {
    throw new TypeError(`The ${what} of a data channel can have ${MAX_NAME_BYTES} bytes, not ${bytes}`)
  }
  return text
}

function limit(value: number | null | undefined, what: string): number | null {
  // Browsers take null for "not there", although Web IDL would make 0 of it.
  return value === undefined || value === null ? null : enforceRange(value, UNSIGNED_SHORT, what)
}
