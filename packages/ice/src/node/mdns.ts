import type { RemoteInfo } from 'node:dgram'
import { canonicalIp, withoutScope } from '@floe/stun'
import { type Answer, type DecodedPacket, decode, encode, type Packet } from 'dns-packet'
import { MDNS_PORT, MulticastLink } from './multicast.ts'

/** An address, or why there is none. */
export type MdnsResult =
  | { readonly ip: string; readonly reason?: never }
  | { readonly ip?: never; readonly reason: string }

/**
 * Multicast DNS (RFC 6762) as far as ICE needs it: asks for the `.local` names of browsers, answers for our own.
 * Its sockets are open while there is something to ask or to answer. Trouble with multicast is a reason, never an error.
 */
export class MulticastDns {
  /** One for all transports of the process. */
  static readonly shared = new MulticastDns()

  readonly #questions = new Map<string, Question>()
  readonly #records = new Map<string, PublishedRecord>()
  #link: MulticastLink | undefined

  /** The first address that somebody on the link gives for the name. Aborting gives it up. Never rejects. */
  resolve(name: string, signal?: AbortSignal): Promise<MdnsResult> {
    const key = name.toLowerCase()
    const own = this.#records.get(key)
    if (own) return Promise.resolve({ ip: own.ip })
    if (signal?.aborted) return Promise.resolve({ reason: 'aborted' })
    if (!this.#questions.has(key) && this.#questions.size >= MAX_QUESTIONS)
      return Promise.resolve({ reason: 'too many names at once' })
    return new Promise((resolve) => {
      const question = this.#questions.get(key) ?? { name: key, asked: 0, timer: undefined, waiting: new Set() }
      this.#questions.set(key, question)
      const settle = (result: MdnsResult) => {
        signal?.removeEventListener('abort', abort)
        resolve(result)
      }
      const abort = () => {
        question.waiting.delete(settle)
        settle({ reason: 'aborted' })
        if (question.waiting.size === 0) this.#drop(question)
      }
      signal?.addEventListener('abort', abort, { once: true })
      question.waiting.add(settle)
      question.asked = 0
      this.#ask(question)
    })
  }

  /**
   * Announces the address under the name and answers for it until the returned function is called. The name must be
   * unique by itself, as a random UUID is: it is not probed for (RFC 6762 §8.1).
   */
  publish(name: string, ip: string, onfailure: (reason: string) => void): () => void {
    const key = name.toLowerCase()
    const record: PublishedRecord = {
      name: key,
      ip: withoutScope(ip),
      answeredAt: Number.NEGATIVE_INFINITY,
      timer: undefined,
    }
    this.#records.set(key, record)
    const failure = this.#open()
    if (failure !== undefined) onfailure(failure)
    this.#announce(record)
    // RFC 6762 §8.3: at least twice, a second apart.
    record.timer = setTimeout(() => this.#announce(record), 1_000)
    return () => {
      if (this.#records.get(key) !== record) return
      clearTimeout(record.timer)
      this.#records.delete(key)
      this.#send({ type: 'response', flags: AUTHORITATIVE, answers: [answer(record, 0, true)] }) // §10.1: goodbye.
      this.#closeIfIdle()
    }
  }

  #ask(question: Question): void {
    clearTimeout(question.timer)
    const failure = this.#open()
    if (failure !== undefined) return this.#answerAll(question, { reason: `multicast is not possible: ${failure}` })
    const wait = QUERY_INTERVALS[question.asked++]
    if (wait === undefined) return this.#answerAll(question, { reason: 'no answer' })
    const { name } = question
    this.#send({
      type: 'query',
      questions: [
        { type: 'A', name },
        { type: 'AAAA', name },
      ],
    })
    question.timer = setTimeout(() => this.#ask(question), wait)
  }

  #answerAll(question: Question, result: MdnsResult): void {
    this.#drop(question)
    for (const settle of question.waiting) settle(result)
  }

  #drop(question: Question): void {
    clearTimeout(question.timer)
    if (this.#questions.get(question.name) === question) this.#questions.delete(question.name)
    this.#closeIfIdle()
  }

  #handlePacket(bytes: Buffer, from: RemoteInfo, reply: (bytes: Uint8Array) => void): void {
    const packet = tryDecode(bytes)
    if (packet?.type === 'query') this.#handleQuery(packet, from, reply)
    // RFC 6762 §6: responses come from port 5353; anything else is some program's, not the responder's.
    if (packet?.type === 'response' && from.port === MDNS_PORT) this.#handleResponse(packet)
  }

  #handleResponse({ answers = [], additionals = [] }: DecodedPacket): void {
    for (const record of [...answers, ...additionals]) {
      if ((record.type !== 'A' && record.type !== 'AAAA') || record.ttl === 0) continue
      const question = this.#questions.get(record.name.toLowerCase())
      const ip = canonicalIp(record.data)
      if (question && ip !== undefined) this.#answerAll(question, { ip })
    }
  }

  #handleQuery(query: DecodedPacket, from: RemoteInfo, reply: (bytes: Uint8Array) => void): void {
    for (const { name, type } of query.questions ?? []) {
      const record = this.#records.get(name.toLowerCase())
      if (!record || !asksFor(type, record) || isKnown(query, record)) continue
      if (from.port === MDNS_PORT) this.#respond(record)
      else {
        // RFC 6762 §6.7: a one-shot querier gets plain DNS, for itself alone, and may keep it ten seconds.
        const { id = 0, questions = [] } = query
        const flags = AUTHORITATIVE
        reply(
          encode({
            type: 'response',
            id,
            flags,
            questions: questions.slice(0, 1),
            answers: [answer(record, 10, false)],
          }),
        )
      }
      return // One answer per query: nothing that comes makes us send more than came.
    }
  }

  /** RFC 6762 §6: a record is multicast once a second at most. */
  #respond(record: PublishedRecord): void {
    const now = performance.now()
    if (now - record.answeredAt < 1_000) return
    record.answeredAt = now
    this.#announce(record)
  }

  #announce(record: PublishedRecord): void {
    this.#send({ type: 'response', flags: AUTHORITATIVE, answers: [answer(record, TTL, true)] })
  }

  #send(packet: Packet): void {
    this.#link?.send(encode(packet))
  }

  /** Returns why not, if not. */
  #open(): string | undefined {
    if (this.#link) this.#link.refresh()
    else this.#link = new MulticastLink((bytes, from, reply) => this.#handlePacket(bytes, from, reply))
    return this.#link.failure
  }

  #closeIfIdle(): void {
    if (this.#questions.size > 0 || this.#records.size > 0) return
    this.#link?.close()
    this.#link = undefined
  }
}

interface Question {
  readonly name: string
  readonly waiting: Set<(result: MdnsResult) => void>
  asked: number
  timer: NodeJS.Timeout | undefined
}

interface PublishedRecord {
  readonly name: string
  readonly ip: string
  answeredAt: number
  timer: NodeJS.Timeout | undefined
}

/**
 * Waits after each query, milliseconds. RFC 6762 §5.2 starts at a second for queries that go on for hours; these stop, and
 * someone waits for a connection. The last wait is the last chance of an answer: 4.25 s in all.
 */
const QUERY_INTERVALS = [250, 1_000, 1_000, 2_000]

/** Names come from peers: no peer shall have us query without end. */
const MAX_QUESTIONS = 64

/** RFC 6762 §10: what is recommended for host addresses, seconds. */
const TTL = 120

/** The AA bit, RFC 6762 §18.4. */
const AUTHORITATIVE = 1 << 10

function answer({ name, ip }: PublishedRecord, ttl: number, flush: boolean): Answer {
  return { type: addressType(ip), name, ttl, class: 'IN', flush, data: ip }
}

function addressType(ip: string): 'A' | 'AAAA' {
  return ip.includes(':') ? 'AAAA' : 'A'
}

/** dns-packet reads ANY, which its types do not list. */
function asksFor(type: string, { ip }: PublishedRecord): boolean {
  return type === addressType(ip) || type === 'ANY'
}

/** RFC 6762 §7.1: the asker knows, and for long enough. */
function isKnown({ answers = [] }: DecodedPacket, { name, ip }: PublishedRecord): boolean {
  return answers.some((known) => {
    if (known.type !== 'A' && known.type !== 'AAAA') return false
    return known.name.toLowerCase() === name && known.data === ip && (known.ttl ?? 0) >= TTL / 2
  })
}

function tryDecode(bytes: Buffer): DecodedPacket | undefined {
  try {
    return decode(bytes)
  } catch {
    return undefined // Anyone on the link can send anything here.
  }
}
