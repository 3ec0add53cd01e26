import { type Fingerprint, hasUsableFingerprint } from './fingerprint.ts'
import { RTCError } from './rtc-error.ts'

/** RFC 8839 §5.4. Characters are not looked at: others than ice-char are met, and do no harm. */
const UFRAG_LENGTH = { minimum: 4, maximum: 256 } as const
const PASSWORD_LENGTH = { minimum: 22, maximum: 256 } as const

/** One media description, or the session's own lines. */
interface Section {
  readonly mediaLine: string
  readonly attributes: readonly string[]
}

/** RFC 8866 §5, as far as a reader can trip over it. Throws RTCError with the number of the line. */
export function checkSyntax(sdp: string): void {
  const lines = sdp.split(/\r\n|\n|\r/)
  if (lines.length > 1 && lines.at(-1) === '') lines.pop()
  const wrong = lines.findIndex((line, i) => !isLine(line, i))
  if (wrong >= 0) refuseSyntax(wrong + 1, `"${lines[wrong]}" is no line of SDP`)
  for (const type of ['o', 's', 't']) {
    if (!lines.some((line) => line.startsWith(`${type}=`))) refuseSyntax(lines.length, `there is no ${type}= line`)
  }
}

/** What a peer has to say of every transport: RFC 9429 §5.8. Throws InvalidAccessError. */
export function checkRemote(sdp: string): void {
  const [session, ...media] = sections(sdp)
  for (const section of media) {
    if (/^m=\S+ 0 /.test(section.mediaLine)) continue
    const find = (name: string) => values(section, name)[0] ?? values(session!, name)[0]
    checkLength(find('ice-ufrag'), UFRAG_LENGTH, 'ice-ufrag')
    checkLength(find('ice-pwd'), PASSWORD_LENGTH, 'ice-pwd')
    const own = values(section, 'fingerprint')
    const fingerprints = (own.length > 0 ? own : values(session!, 'fingerprint')).map(parseFingerprint)
    if (fingerprints.length === 0) refuseContent('has no fingerprint: a peer without a name cannot be trusted')
    if (!hasUsableFingerprint(fingerprints)) {
      const names = fingerprints.map(({ algorithm }) => algorithm).join(', ')
      refuseContent(`has fingerprints of ${names} only, where sha-256, sha-384 or sha-512 is needed`)
    }
    if (section.mediaLine.startsWith('m=application ')) checkData(section)
  }
}

/** RFC 8841 §5 and §6, and a name for the answer to refer to (RFC 5888): werift would take it, and fail later. */
function checkData(section: Section): void {
  const mids = section.attributes.filter((line) => /^a=mid(:|$)/.test(line))
  if (mids.length !== 1 || !values(section, 'mid')[0]) refuseContent('names its data channels by no mid, or by several')
  for (const port of values(section, 'sctp-port')) {
    if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535) refuseContent(`has an sctp-port ${port}`)
  }
  for (const size of values(section, 'max-message-size')) {
    if (!/^\d+$/.test(size)) refuseContent(`has a max-message-size ${size}`)
  }
}

/**
 * Whether `given` says the same of transports and identity as the description that was `created`. W3C allows no change
 * at all; browsers let applications edit the rest, and they do. Who starts DTLS may be turned around in an answer.
 */
export function isSameSession(created: string, given: string): boolean {
  return essence(created) === essence(given)
}

/** Ours alone, and to be ignored by everybody else (RFC 8866 §5.13): an SCTP packet may fill a DTLS record. */
const LARGE_PACKETS = 'a=x-floe-large-packets'

/** What is said of SCTP, with this in addition. */
export function offerLargePackets(sdp: string): string {
  return sdp.replace(/^a=max-message-size:\d+\r?\n/gm, `$&${LARGE_PACKETS}\r\n`)
}

export function takesLargePackets(sdp: string): boolean {
  return sections(sdp).some(({ attributes }) => attributes.includes(LARGE_PACKETS))
}

function essence(sdp: string): string {
  return sections(sdp)
    .map(({ mediaLine, attributes }) => {
      const kept = attributes.filter((line) => /^a=(ice-ufrag|ice-pwd|fingerprint|mid|sctp-port|group):/.test(line))
      return [mediaLine.replace(/ \d+ /, ' '), ...kept].join('\n')
    })
    .join('\n')
}

function sections(sdp: string): Section[] {
  return sdp.split(/^(?=m=)/m).map((text, i) => {
    const lines = text.split(/\r\n|\n|\r/)
    return { mediaLine: i === 0 ? '' : lines[0]!, attributes: lines.filter((line) => line.startsWith('a=')) }
  })
}

function values({ attributes }: Section, name: string): string[] {
  const prefix = `a=${name}:`
  return attributes.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length).trim())
}

function parseFingerprint(text: string): Fingerprint {
  const [algorithm = '', value = ''] = text.split(/\s+/)
  return { algorithm, value }
}

function isLine(line: string, index: number): boolean {
  if (index === 0) return line === 'v=0'
  if (line.startsWith('m=')) return /^m=\S+ \d{1,5}(\/\d+)? \S+( \S+)+\s*$/.test(line)
  return /^[a-z]=/.test(line)
}

function checkLength(
  text: string | undefined,
  { minimum, maximum }: typeof UFRAG_LENGTH | typeof PASSWORD_LENGTH,
  name: string,
): void {
  if (text === undefined) refuseContent(`has no ${name}`)
  if (text.length < minimum || text.length > maximum) refuseContent(`has an ${name} of ${text.length} characters`)
}

function refuseSyntax(sdpLineNumber: number, what: string): never {
  throw new RTCError(
    { errorDetail: 'sdp-syntax-error', sdpLineNumber },
    `Line ${sdpLineNumber} of the description: ${what}`,
  )
}

function refuseContent(what: string): never {
  throw new DOMException(`The description ${what}`, 'InvalidAccessError')
}
