import { sameAddress } from '@floe/stun'
import { type Candidate, parseCandidate } from '../candidate.ts'
import { IceError } from '../error.ts'
import type { IceCandidateInit } from './events.ts'
import { MulticastDns } from './mdns.ts'

/** What the candidates go to, and who hears why one did not. */
export interface CandidateSink {
  addRemoteCandidate(candidate: Candidate | null): void
  removeRemoteCandidates(candidates: readonly Candidate[]): void
  remoteCandidates(): readonly Candidate[]
  log(event: string, detail: string, reason: string): void
}

/** Candidates from signaling on their way to the agent: parsed, and `.local` names resolved (RFC 8828, mDNS candidates). */
export class RemoteCandidates {
  readonly #sink: CandidateSink
  readonly #refusal: string | undefined
  #abort: AbortController | undefined
  #resolving = 0
  /** Of the names that are being resolved, those that the peer has withdrawn meanwhile. */
  #withdrawn: readonly Candidate[] = NONE
  #ended = false

  /** `refusal`: why `.local` names are not to be resolved, if they are not. */
  constructor(sink: CandidateSink, refusal: string | undefined) {
    this.#sink = sink
    this.#refusal = refusal
  }

  /** Throws ERR_ICE_ARGUMENT when `init` is no RTCIceCandidateInit. A line nobody understands is only logged. */
  add(init: IceCandidateInit | null): void {
    const line = lineOf(init)
    if (line === '') return this.#end()
    const parsed = parseCandidate(line)
    if (!parsed) return this.#skip(line, 'not a candidate that this agent knows')
    const usernameFragment = init?.usernameFragment ?? parsed.usernameFragment
    const candidate = usernameFragment === undefined ? parsed : { ...parsed, usernameFragment }
    if (/^[\d.]+$|:/.test(candidate.address.ip)) this.#sink.addRemoteCandidate(candidate)
    else if (candidate.tcpType === 'active')
      this.#skip(line, 'whoever has this name connects to us, and needs no resolving')
    else void this.#resolve(candidate)
  }

  /** Withdrawn by the peer. A `.local` name is known by what it was resolved to. Throws ERR_ICE_ARGUMENT. */
  remove(inits: readonly IceCandidateInit[]): void {
    const gone = inits.flatMap((init) => parseCandidate(lineOf(init)) ?? [])
    const isGone = ({ hostname, address: { port } }: Candidate) =>
      gone.some(({ address }) => address.ip.toLowerCase() === hostname && address.port === port)
    const resolved = this.#sink.remoteCandidates().filter(isGone)
    this.#sink.removeRemoteCandidates([...gone, ...resolved])
    if (this.#resolving > 0) this.#withdrawn = this.#withdrawn.concat(gone).slice(-MAX_NAMES)
  }

  /** The end was the old generation's. Candidates are told apart by their ufrag: names go on being resolved. */
  restart(): void {
    this.#ended = false
  }

  close(): void {
    this.#abort?.abort()
  }

  /** RFC 8838 §13: no candidate may come after the end, so it waits for the names that are still being resolved. */
  #end(): void {
    this.#ended = true
    if (this.#resolving === 0) this.#sink.addRemoteCandidate(null)
  }

  async #resolve(candidate: Candidate): Promise<void> {
    const hostname = candidate.address.ip.toLowerCase()
    const refusal = this.#refusal ?? refusalOf(hostname)
    if (refusal !== undefined) return this.#skip(hostname, refusal)
    if (this.#resolving >= MAX_NAMES) return this.#skip(hostname, 'too many names of one peer at once')
    const { signal } = (this.#abort ??= new AbortController())
    this.#resolving++
    this.#withdrawn = this.#withdrawn.filter(({ address }) => !sameAddress(address, candidate.address))
    const { ip, reason } = await MulticastDns.shared.resolve(hostname, signal)
    if (signal.aborted) return
    this.#resolving--
    const isWithdrawn = this.#withdrawn.some(({ address }) => sameAddress(address, candidate.address))
    if (this.#resolving === 0) this.#withdrawn = NONE
    if (isWithdrawn) this.#skip(hostname, 'the peer has withdrawn it')
    else if (ip === undefined) this.#skip(hostname, reason)
    else this.#sink.addRemoteCandidate({ ...candidate, hostname, address: { ip, port: candidate.address.port } })
    if (this.#ended && this.#resolving === 0) this.#sink.addRemoteCandidate(null)
  }

  #skip(detail: string, reason: string): void {
    this.#sink.log('candidate-skipped', detail.slice(0, 200), reason)
  }
}

const NONE: readonly Candidate[] = []

/** Browsers have one name for each address. Questions are asked for the whole process, so that no peer may ask them all. */
const MAX_NAMES = 8

/** The candidate line; empty for the end of candidates. */
function lineOf(init: IceCandidateInit | null): string {
  if (init === null) return ''
  const line = typeof init === 'object' ? (init.candidate ?? '') : undefined
  if (typeof line === 'string') return line
  throw new IceError(
    'ERR_ICE_ARGUMENT',
    'addRemoteCandidate() takes what the peer’s icecandidate event carried: an object with a `candidate` string, or null',
  )
}

/** draft-ietf-mmusic-mdns-ice-candidates §3.2.1: one label and `.local`. Other names could make us query anything for anyone. */
function refusalOf(hostname: string): string | undefined {
  return /^[a-z0-9-]{1,63}\.local$/.test(hostname) ? undefined : 'only names of the form <label>.local are resolved'
}
