import { IceAgent } from '../agent.ts'
import { type Candidate, formatCandidate } from '../candidate.ts'
import type { CandidatePair } from '../candidate-pair.ts'
import { IceError } from '../error.ts'
import type { LogEntry } from '../log.ts'
import type { IceTransportState } from '../outputs.ts'
import { Pacer } from '../pacer.ts'
import type { IceParameters, IceRole } from '../parameters.ts'
import { SearchGate } from '../search-gate.ts'
import { type AgentEvent, clock, Driver } from './driver.ts'
import {
  IceCandidateErrorEvent,
  IceCandidateEvent,
  type IceCandidateInit,
  IceCandidatesRemovedEvent,
  type IceTransportEventMap,
  SelectedCandidatePairChangeEvent,
} from './events.ts'
import type { IceServer } from './ice-servers.ts'
import { interfaceWatch } from './interface-watch.ts'
import { LocalGathering } from './local-gathering.ts'
import type { IceTransportOptions } from './options.ts'
import { random } from './random.ts'
import { RemoteCandidates } from './remote-candidates.ts'
import { type IceStatsReport, statsReport } from './stats.ts'

/**
 * ICE for Node: an `IceAgent` with sockets, names and a clock, under the names of W3C's RTCIceTransport.
 *
 * The order of calls is free: gather, signal `getLocalParameters()` and each `icecandidate`, `start()` with the peer's
 * parameters, `addRemoteCandidate()` for each of its candidates, in any order. From `gather()` on it keeps the process
 * alive, as a socket does, until `close()`.
 */
export class IceTransport extends EventTarget implements AsyncDisposable {
  readonly #agent: IceAgent
  readonly #driver: Driver
  readonly #gathering: LocalGathering
  readonly #remote: RemoteCandidates
  readonly #signal: AbortSignal | undefined
  readonly #log: LogEntry[] = []
  #waiting: Waiting[] | undefined
  #selectedPairChanges = 0
  #closed: Promise<void> | undefined

  /** Throws ERR_ICE_ARGUMENT for what no transport can be made of: a malformed URL, address, range or parameter. */
  constructor(options: IceTransportOptions = {}) {
    super()
    const { role, lite, parameters, timing, candidatePolicy: policy, signal, mux } = options
    const { pathPolicy, preferRelay = false } = options
    // Nobody looks for a direct path at any price who does not want it.
    const { hardNat = preferRelay ? 'off' : 'auto' } = options
    this.#agent = new IceAgent({
      random,
      pacer,
      log: true,
      ...(role && { role }),
      ...(lite !== undefined && { lite }),
      ...(parameters && { parameters }),
      ...(timing && { timing }),
      ...(policy && { policy }),
      ...(pathPolicy !== undefined && { pathPolicy }),
      preferRelay,
      // A shared port is shared on purpose: no sockets beside it.
      ...(!mux && !lite && { traversal: { hardNat, gate } }),
    })
    this.#driver = new Driver(this.#agent, {
      transmit: (packet, ttl) => this.#gathering.transmit(packet, ttl),
      connect: (request) => this.#gathering.connections.open(request),
      disconnect: (local) => this.#gathering.connections.close(local),
      openSockets: (near, count) => this.#gathering.openSockets(near, count),
      closeSocket: (local) => this.#gathering.closeSocket(local),
      rebind: () => this.#gathering.rebind(),
      handleEvent: (event) => this.#handleEvent(event),
    })
    this.#gathering = new LocalGathering(this.#agent, this.#driver, options)
    this.#remote = new RemoteCandidates(
      {
        addRemoteCandidate: (candidate) => this.#do((now) => this.#agent.addRemoteCandidate(now, candidate)),
        removeRemoteCandidates: (gone) => this.#do((now) => this.#agent.removeRemoteCandidates(now, gone)),
        remoteCandidates: () => this.#agent.remoteCandidates,
        log: (event, detail, reason) => this.#driver.log(event, detail, reason),
      },
      whyNotResolve(options),
    )
    this.#signal = signal
    if (signal?.aborted) void this.close()
    else signal?.addEventListener('abort', this.#onabort, { once: true })
  }

  get role(): IceRole {
    return this.#agent.role
  }

  get state(): IceTransportState {
    return this.#agent.state
  }

  get gatheringState(): 'new' | 'gathering' | 'complete' {
    return this.#agent.gatheringState
  }

  /** In order of priority; last the pair of the generation before that still carries data during an ICE restart. */
  get checklist(): readonly CandidatePair[] {
    const { checklist, selectedPair } = this.#agent
    return !selectedPair || checklist.includes(selectedPair) ? checklist : [...checklist, selectedPair]
  }

  /** The agent's latest decisions, each with its reason. Times are of `performance.now()`. */
  get agentLog(): readonly LogEntry[] {
    return this.#log
  }

  /** Takes the packets from the peer, one by one. What comes while it is null is dropped, like any datagram. */
  get ondata(): ((bytes: Uint8Array) => void) | null {
    return this.#driver.ondata
  }

  set ondata(consumer: ((bytes: Uint8Array) => void) | null) {
    this.#driver.ondata = consumer
  }

  /**
   * Binds sockets and makes candidates of them; asks the servers. The second call changes nothing, and a restart gathers
   * by itself. Throws ERR_ICE_FAILED when no address of this machine could be bound, ERR_ICE_CLOSED.
   */
  gather(): void {
    this.#assertOpen()
    this.#gathering.begin()
  }

  /**
   * The peer's parameters: checks begin. Throws ERR_ICE_ARGUMENT for malformed ones, ERR_ICE_STATE for new ones without
   * `restart()`, ERR_ICE_CLOSED.
   */
  start(remote: IceParameters, role?: IceRole): void {
    this.#do((now) => this.#agent.start(now, remote, role))
  }

  /**
   * From signaling; `null` or an empty line ends them. `.local` names are resolved. What this agent cannot use is logged
   * and skipped. Throws ERR_ICE_ARGUMENT when it is no RTCIceCandidateInit, ERR_ICE_CLOSED.
   */
  addRemoteCandidate(candidate: IceCandidateInit | null): void {
    this.#assertOpen()
    this.#remote.add(candidate)
  }

  /** The peer's `icecandidatesremoved`: its pairs are left at once. Throws ERR_ICE_ARGUMENT, ERR_ICE_CLOSED. */
  removeRemoteCandidates(candidates: readonly IceCandidateInit[]): void {
    this.#assertOpen()
    this.#remote.remove(candidates)
  }

  /**
   * Resolves with the selected pair: at once when connected, else when that comes true. Rejects with ERR_ICE_FAILED,
   * ERR_ICE_CLOSED, or the reason of `signal`.
   */
  connected({ signal }: { signal?: AbortSignal } = {}): Promise<CandidatePair> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const abort = () => {
        this.#waiting = this.#waiting?.filter((other) => other !== waiting)
        reject(signal?.reason)
      }
      const waiting: Waiting = { resolve, reject, unlisten: () => signal?.removeEventListener('abort', abort) }
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiting = [...(this.#waiting ?? []), waiting]
      this.#answerWaiting()
    })
  }

  /**
   * `false`: no path yet, the peer's consent is lost, or the relay does not take it. The bytes are not copied: leave
   * them alone once sent. Throws ERR_ICE_ARGUMENT when they would be taken for STUN, ERR_ICE_CLOSED.
   */
  send(bytes: Uint8Array): boolean {
    return this.#driver.send(bytes)
  }

  /**
   * For the layer above: it has been without an answer for longer than its packets take. Where a path lets checks through
   * and swallows data, nobody else can know. For 2.5 s data takes a second path too, at both ends; when it arrives over
   * that one alone, the path is left. Nothing happens where there is no other. Throws ERR_ICE_CLOSED.
   */
  reportNoProgress(): void {
    this.#assertOpen()
    this.#do((now) => this.#agent.reportNoProgress(now))
  }

  /**
   * New parameters and candidates over the same sockets; data flows on over the old pair until there is a new one
   * (RFC 8445 §9). Signal the result, then `start()` with the peer's. Throws ERR_ICE_CLOSED.
   */
  restart(): IceParameters {
    this.#assertOpen()
    this.#remote.restart()
    this.#do((now) => this.#agent.restart(now, this.#gathering.takeServerChange()))
    this.#gathering.restart()
    return this.#agent.localParameters
  }

  /**
   * Other servers, or new credentials for the same ones: for the next gathering, which is `gather()` or, when that has
   * been, the next `restart()`. Relays on servers that are gone carry what goes over them until the restart has brought a
   * new path. Throws ERR_ICE_ARGUMENT for malformed URLs and TURN servers without credentials, ERR_ICE_CLOSED.
   */
  setIceServers(servers: readonly IceServer[]): void {
    this.#assertOpen()
    this.#gathering.setServers(servers)
  }

  getLocalParameters(): IceParameters {
    return this.#agent.localParameters
  }

  getRemoteParameters(): IceParameters | null {
    return this.#agent.remoteParameters ?? null
  }

  getLocalCandidates(): Candidate[] {
    return [...this.#agent.localCandidates]
  }

  getRemoteCandidates(): Candidate[] {
    return [...this.#agent.remoteCandidates]
  }

  /** The pair that data is sent on. */
  getSelectedCandidatePair(): CandidatePair | null {
    return this.#agent.selectedPair ?? null
  }

  /** W3C statistics of the transport, its candidates and pairs, as of now. */
  getStats(): IceStatsReport {
    const { role, state, localCandidates, remoteCandidates, selectedPair, switches, localParameters } = this.#agent
    const { usernameFragment } = localParameters
    const selectedPairChanges = this.#selectedPairChanges
    return statsReport({
      role,
      state,
      usernameFragment,
      localCandidates,
      remoteCandidates,
      checklist: this.checklist,
      traffic: this.#driver.traffic,
      selectedPair,
      selectedPairChanges,
      switches,
    })
  }

  /**
   * Ends everything; the last event is a `statechange` to `closed`. Resolves when all sockets are, which takes a round
   * trip where a TURN server has to be told, `timing.releaseDeadline` at most. Idempotent.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  override addEventListener<K extends keyof IceTransportEventMap>(
    type: K,
    listener: ((event: IceTransportEventMap[K]) => void) | null,
    options?: AddEventListenerOptions | boolean,
  ): void
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: AddEventListenerOptions | boolean,
  ): void
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: AddEventListenerOptions | boolean,
  ): void {
    super.addEventListener(type, listener, options)
  }

  readonly #onabort = () => void this.close()

  async #close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#onabort)
    this.#agent.close(clock())
    this.#remote.close()
    // Before the listeners of the last event run, so that one of them that throws leaves nothing open.
    const freed = this.#gathering.close()
    this.#driver.stop()
    await Promise.all([freed, this.#gathering.connections.closed()])
  }

  #assertOpen(): void {
    if (this.#closed) throw new IceError('ERR_ICE_CLOSED', 'This transport is closed: make a new one')
  }

  #do(change: (now: number) => void): void {
    const now = clock()
    change(now)
    this.#driver.settle(now)
  }

  #handleEvent(event: AgentEvent): void {
    switch (event.type) {
      case 'candidate':
        this.dispatchEvent(new IceCandidateEvent(event.candidate && candidateInit(event.candidate)))
        break
      case 'candidatesremoved':
        this.dispatchEvent(new IceCandidatesRemovedEvent(event.candidates.map(candidateInit)))
        break
      case 'candidateerror':
        this.dispatchEvent(new IceCandidateErrorEvent(event))
        break
      case 'gatheringstate':
        this.dispatchEvent(new Event('gatheringstatechange'))
        break
      case 'state':
        this.#answerWaiting()
        this.dispatchEvent(new Event('statechange'))
        break
      case 'selectedpair':
        this.#selectedPairChanges++
        this.#answerWaiting()
        this.dispatchEvent(new SelectedCandidatePairChangeEvent(event.pair, event.reason))
        break
      case 'suspicion':
        interfaceWatch.suspect()
        break
      case 'log':
        if (this.#log.length === LOG_LENGTH) this.#log.shift()
        this.#log.push(event.entry)
        break
      case 'role': // Read from `role`; W3C has no event for it either.
    }
  }

  #answerWaiting(): void {
    if (!this.#waiting) return
    const { state, selectedPair } = this.#agent
    if ((state === 'connected' || state === 'completed') && selectedPair) {
      for (const { resolve } of this.#takeWaiting()) resolve(selectedPair)
    } else if (state === 'failed' || state === 'closed') {
      const error = state === 'closed' ? closedError() : failedError(this.#agent)
      for (const { reject } of this.#takeWaiting()) reject(error)
    }
  }

  #takeWaiting(): readonly Waiting[] {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const { unlisten } of waiting) unlisten()
    return waiting
  }
}

interface Waiting {
  resolve(pair: CandidatePair): void
  reject(error: unknown): void
  unlisten(): void
}

/** RFC 8445 §14.2 paces all agents of this process together. */
const pacer = new Pacer()
/** One search at a time in the process. */
const gate = new SearchGate()

/** Entries kept for diagnosis: a connection takes about thirty. */
const LOG_LENGTH = 100

function candidateInit(candidate: Candidate): IceCandidateInit {
  return {
    candidate: formatCandidate(candidate),
    // There is no SDP here. A browser wants one of the two, and takes the index when there is no mid.
    sdpMid: null,
    sdpMLineIndex: 0,
    usernameFragment: candidate.usernameFragment ?? null,
  }
}

function whyNotResolve({ mdns, gatherPolicy }: IceTransportOptions): string | undefined {
  if (mdns?.resolve === false) return 'mdns.resolve is off'
  return gatherPolicy === 'relay' ? 'gatherPolicy is relay' : undefined
}

function closedError(): IceError {
  return new IceError('ERR_ICE_CLOSED', 'The transport was closed before it was connected')
}

function failedError({ checklist, localCandidates, remoteCandidates }: IceAgent): IceError {
  const tried = `${checklist.length} pairs of ${localCandidates.length} local and ${remoteCandidates.length} remote candidates`
  return new IceError(
    'ERR_ICE_FAILED',
    `No path to the peer among ${tried}: see agentLog, then restart() on both sides or offer a TURN server`,
  )
}
