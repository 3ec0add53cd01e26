import type { Address, Machine, Packet } from '@floe/stun'
import { decode, isStun, sameAddress } from '@floe/stun'
import type { Candidate } from './candidate.ts'
import { isReachable } from './candidate.ts'
import type { CandidatePair, Pair } from './candidate-pair.ts'
import { Connectivity } from './connectivity.ts'
import { TIMING } from './defaults.ts'
import { IceError } from './error.ts'
import type { LocalBase, ServerAddress } from './gatherer.ts'
import { Generation } from './generation.ts'
import type { AgentOptions } from './options.ts'
import { Outbox } from './outbox.ts'
import type { AgentOutput, Context, IceTransportState } from './outputs.ts'
import { Pace, Pacer } from './pacer.ts'
import type { IceParameters, IceRole } from './parameters.ts'
import { checkLocalParameters, checkParameters, generateParameters } from './parameters.ts'
import { settledRole } from './role.ts'
import { nextState } from './state.ts'

/**
 * An RFC 8445 agent for one data stream of one component, without I/O: see `Machine` for how it is driven.
 * Caller mistakes throw `IceError`; packets never do.
 */
export class IceAgent implements Machine<AgentOutput> {
  readonly lite: boolean
  readonly #context: Context
  readonly #pace: Pace
  readonly #connectivity: Connectivity
  readonly #policy: (candidate: Candidate) => boolean
  readonly #bases: LocalBase[] = []
  readonly #servers: ServerAddress[] = []
  readonly #outbox = new Outbox<AgentOutput>()
  #generation: Generation
  #previous: Generation | undefined
  #previousUntil = Number.POSITIVE_INFINITY
  #state: IceTransportState = 'new'
  #gatheringState: 'new' | 'gathering' | 'complete' = 'new'
  #gatherEnds = false
  #pacDeadline = Number.POSITIVE_INFINITY
  #pacExpired = false
  /** Cached `timeout()`; data packets leave it alone, so that they cost no search. */
  #deadline: number | undefined

  /** Throws ERR_ICE_ARGUMENT for malformed `parameters`. */
  constructor(options: AgentOptions) {
    const { random, log = false } = options
    this.lite = options.lite ?? false
    this.#policy = (candidate) => isReachable(candidate.address) && (options.policy?.(candidate) ?? true)
    this.#context = {
      timing: { ...TIMING, ...options.timing },
      random,
      emit: (output) => this.#emit(output),
      log: log ? (now, event, detail, reason) => this.#log(now, event, detail(), reason) : () => {},
    }
    this.#pace = new Pace(options.pacer ?? new Pacer(), this.#context.timing.Ta)
    const parameters = options.parameters ? checkLocalParameters(options.parameters) : generateParameters(random)
    this.#generation = this.#newGeneration(0, parameters)
    const role = options.role ?? 'controlled'
    this.#connectivity = new Connectivity(this.#context, this.#generation, {
      role,
      lite: this.lite,
      policy: this.#policy,
    })
  }

  get role(): IceRole {
    return this.#connectivity.role
  }

  get state(): IceTransportState {
    return this.#state
  }

  get gatheringState(): 'new' | 'gathering' | 'complete' {
    return this.#gatheringState
  }

  /** Counts ICE restarts. */
  get generation(): number {
    return this.#generation.number
  }

  get localParameters(): IceParameters {
    return this.lite ? { ...this.#generation.local, iceLite: true } : this.#generation.local
  }

  get remoteParameters(): IceParameters | undefined {
    return this.#generation.remote
  }

  get localCandidates(): readonly Candidate[] {
    return this.#generation.gatherer.candidates
  }

  get remoteCandidates(): readonly Candidate[] {
    return this.#generation.remoteCandidates
  }

  /** In order of priority. */
  get checklist(): readonly CandidatePair[] {
    return this.#generation.checklist.pairs
  }

  /** The pair that data is sent on. */
  get selectedPair(): CandidatePair | undefined {
    return this.#connectivity.path.selected
  }

  /** The usernameFragments that requests may name: this generation's and, for a while, the one before. */
  get usernameFragments(): readonly string[] {
    const { usernameFragment } = this.#generation.local
    return this.#previous ? [usernameFragment, this.#previous.local.usernameFragment] : [usernameFragment]
  }

  /**
   * Makes candidates of these bases and asks these servers. May be called again with more of either.
   * `complete: false`: more will follow (names are still being resolved), so do not end the candidates yet.
   * Throws ERR_ICE_CLOSED.
   */
  gather(now: number, bases: readonly LocalBase[], servers: readonly ServerAddress[] = [], complete = true): void {
    this.#assertOpen()
    this.#bases.push(...bases.filter(({ address }) => !this.#bases.some((one) => sameAddress(one.address, address))))
    for (const server of servers) if (!this.#servers.includes(server)) this.#servers.push(server)
    this.#gatherEnds = complete
    this.#gather(now, bases, servers)
  }

  /**
   * The peer's parameters: checks begin. The same ones again change nothing but the role.
   * Throws ERR_ICE_ARGUMENT for malformed ones, ERR_ICE_STATE for new ones without `restart()`, ERR_ICE_CLOSED.
   */
  start(now: number, remote: IceParameters, role?: IceRole): void {
    this.#assertOpen()
    checkParameters(remote)
    if (this.lite && remote.iceLite) {
      throw new IceError('ERR_ICE_ARGUMENT', 'Both peers are lite, so nobody would check: make this agent without lite')
    }
    const known = this.#generation.remote
    if (known && (known.usernameFragment !== remote.usernameFragment || known.password !== remote.password)) {
      throw new IceError(
        'ERR_ICE_STATE',
        'The peer has new parameters: call restart(), signal the new local parameters, then start()',
      )
    }
    this.#connectivity.role = settledRole(this.lite, remote.iceLite ?? false, role ?? this.role)
    if (known) return
    this.#generation.setRemote(remote)
    this.#pacDeadline = now + this.#context.timing.pac
    this.#context.log(now, 'start', () => `${this.role}, remote ufrag ${remote.usernameFragment}`)
    for (const candidate of this.#generation.takeHeld()) this.#addRemote(now, candidate)
    this.#connectivity.replayEarlyChecks(now)
    this.#progress(now)
  }

  /** From signaling; `null` is the end of candidates. Candidates of another generation are kept or ignored. ERR_ICE_CLOSED. */
  addRemoteCandidate(now: number, candidate: Candidate | null): void {
    this.#assertOpen()
    if (this.#generation.remote) this.#addRemote(now, candidate)
    else this.#generation.hold(candidate)
    this.#progress(now)
  }

  /** A socket is gone: its candidates and pairs go with it. */
  removeLocalBase(now: number, address: Address): void {
    const index = this.#bases.findIndex((base) => sameAddress(base.address, address))
    if (index < 0) return
    this.#bases.splice(index, 1)
    this.#generation.gatherer.removeBase(now, address)
    this.#connectivity.removeBase(now, (pair) => sameAddress(pair.base, address))
    this.#progress(now)
  }

  /**
   * `false`: no path yet, or the peer's consent is lost. The bytes are not copied: leave them alone once sent.
   * Throws ERR_ICE_ARGUMENT when they would be taken for STUN by the peer (RFC 7983), ERR_ICE_CLOSED.
   */
  send(now: number, bytes: Uint8Array): boolean {
    this.#assertOpen()
    if (bytes.length >= 20 && (bytes[0] as number) < 4 && isStun(bytes)) {
      throw new IceError(
        'ERR_ICE_ARGUMENT',
        'These bytes are a STUN message: the peer would not pass them up. Frame your data differently',
      )
    }
    const pair = this.#connectivity.path.selected
    if (!pair) return false
    pair.stats.packetsSent++
    pair.stats.bytesSent += bytes.length
    pair.stats.lastPacketSent = now
    this.#outbox.push({
      type: 'packet',
      packet: { protocol: pair.local.protocol, local: pair.base, remote: pair.destination, bytes },
    })
    return true
  }

  /**
   * RFC 8445 §9: new parameters, new candidates over the same bases; data flows on over the old pair until the new
   * generation has one. Signal the result, then `start()` with the peer's new parameters. Throws ERR_ICE_CLOSED.
   */
  restart(now: number): IceParameters {
    this.#assertOpen()
    const outgoing = this.#generation
    // A generation that never met its peer has nobody to answer; the one before it is the one in use.
    if (outgoing.remote || !this.#previous) this.#previous = outgoing
    this.#previousUntil = Number.POSITIVE_INFINITY
    this.#generation = this.#newGeneration(outgoing.number + 1, generateParameters(this.#context.random))
    for (const candidate of outgoing.takeHeld()) this.#generation.hold(candidate)
    this.#connectivity.restart(this.#generation)
    this.#pacDeadline = Number.POSITIVE_INFINITY
    this.#pacExpired = false
    this.#context.log(now, 'restart', () => `generation ${this.generation}`)
    if (this.#gatheringState !== 'new') this.#gather(now, this.#bases, this.#servers)
    this.#progress(now)
    return this.localParameters
  }

  /** Nothing is sent or scheduled any more. Idempotent. */
  close(now: number): void {
    if (this.#state === 'closed') return
    this.#connectivity.close()
    this.#previous = undefined
    this.#context.log(now, 'close', () => '')
    this.#state = 'closed'
    this.#emit({ type: 'state', state: 'closed' })
    this.#deadline = Number.POSITIVE_INFINITY
  }

  handlePacket(now: number, packet: Packet): boolean {
    if (this.#state === 'closed') return false
    const { bytes } = packet
    const first = bytes[0]
    if (first === undefined) return false
    // RFC 7983: STUN begins with 0 to 3; everything else is the layer's above.
    return first < 4 && isStun(bytes) ? this.#handleStun(now, packet) : this.#handleData(now, packet)
  }

  handleTimeout(now: number): void {
    if (this.#state === 'closed') return
    this.#generation.gatherer.handleTimeout(now, this.#needsMappings)
    this.#connectivity.handleTimeout(now)
    if (now >= this.#previousUntil) {
      this.#previous = undefined
      this.#previousUntil = Number.POSITIVE_INFINITY
    }
    if (now >= this.#pacDeadline) {
      this.#pacExpired = true
      this.#pacDeadline = Number.POSITIVE_INFINITY
    }
    this.#progress(now)
  }

  timeout(): number {
    if (this.#deadline !== undefined) return this.#deadline
    this.#deadline = Math.min(
      this.#generation.gatherer.timeout(this.#needsMappings),
      this.#connectivity.timeout(),
      this.#hasOrdinaryWork ? this.#pace.due : Number.POSITIVE_INFINITY,
      this.#previousUntil,
      this.#pacDeadline,
    )
    return this.#deadline
  }

  poll(): AgentOutput | undefined {
    return this.#outbox.poll()
  }

  #handleData(now: number, packet: Packet): boolean {
    const pair = this.#pairOfData(packet)
    if (!pair?.authenticated) return false
    pair.stats.packetsReceived++
    pair.stats.bytesReceived += packet.bytes.length
    pair.stats.lastPacketReceived = now
    this.#outbox.push({ type: 'data', bytes: packet.bytes })
    if (this.#state === 'disconnected') this.#progress(now)
    return true
  }

  #pairOfData({ local, remote }: Packet): Pair | undefined {
    const { selected } = this.#connectivity.path
    const isSelected =
      selected?.base === local && selected.destination.port === remote.port && selected.destination.ip === remote.ip
    if (isSelected) return selected
    return this.#generation.checklist.find(local, remote) ?? this.#previous?.checklist.find(local, remote)
  }

  #handleStun(now: number, packet: Packet): boolean {
    const message = decode(packet.bytes)
    if (message?.method !== 'binding') return false
    if (message.class === 'request') {
      const generation = this.#generationOf(message.attributes.username)
      if (!generation) return false
      this.#connectivity.handleRequest(now, message, packet, generation)
    } else if (message.class === 'indication') {
      // RFC 8445 §11: a keepalive. Not authenticated, so it says no more than data does.
      const pair = this.#pairOfData(packet)
      if (!pair?.authenticated || message.unknownRequired.length > 0) return false
      pair.stats.lastPacketReceived = now
    } else if (!this.#generation.gatherer.handleResponse(now, message, packet)) {
      if (!this.#connectivity.handleResponse(now, message, packet)) return false
    }
    this.#progress(now)
    return true
  }

  #generationOf(username: string | undefined): Generation | undefined {
    const ufrag = username?.slice(0, Math.max(0, username.indexOf(':')))
    if (ufrag === this.#generation.local.usernameFragment) return this.#generation
    return ufrag === this.#previous?.local.usernameFragment ? this.#previous : undefined
  }

  #newGeneration(number: number, parameters: IceParameters): Generation {
    return new Generation(this.#context, number, parameters, (now, candidate, replaced) => {
      this.#emit({ type: 'candidate', candidate })
      this.#connectivity.adoptLocal(now, candidate, replaced)
    })
  }

  #gather(now: number, bases: readonly LocalBase[], servers: readonly ServerAddress[]): void {
    if (this.#gatheringState !== 'gathering') {
      this.#gatheringState = 'gathering'
      this.#emit({ type: 'gatheringstate', state: 'gathering' })
    }
    this.#generation.gatherer.gather(now, bases, this.lite ? [] : servers, this.#gatherEnds)
    this.#progress(now)
  }

  #addRemote(now: number, candidate: Candidate | null): void {
    const generation = this.#generation
    if (candidate === null) {
      generation.remoteEnded = true
      return
    }
    const { usernameFragment, address, type } = candidate
    const foreign = usernameFragment !== undefined && usernameFragment !== generation.remote?.usernameFragment
    // Perhaps of a restart whose parameters it has overtaken: the next start() knows.
    if (foreign) return generation.hold(candidate)
    if (!this.#policy(candidate)) {
      return this.#context.log(now, 'candidate-refused', () => `${type} ${address.ip}:${address.port}`, 'policy')
    }
    if (!generation.addRemote(candidate)) return
    this.#connectivity.adoptRemote(now, candidate)
  }

  /** Mappings are kept open while no pair is selected: nobody else sends through them. */
  get #needsMappings(): boolean {
    return this.#connectivity.path.selected === undefined
  }

  get #hasOrdinaryWork(): boolean {
    return this.#generation.gatherer.hasWork || this.#connectivity.hasOrdinary
  }

  /** What every change ends with: the next paced transaction, the state, the deadline. */
  #progress(now: number): void {
    if (this.#state === 'closed') return
    this.#startOrdinary(now)
    this.#updateState(now)
    this.#deadline = undefined
    if (this.#previous && !this.#connectivity.path.outlived && this.#connectivity.path.selected) {
      this.#previousUntil = Math.min(this.#previousUntil, now + this.#context.timing.restartLinger)
    }
  }

  /** Ordinary checks and gathering share one pace, RFC 8445 §14.2; a peer that waits for candidates goes first. */
  #startOrdinary(now: number): void {
    while (this.#hasOrdinaryWork && this.#pace.take(now)) {
      if (this.#generation.gatherer.hasWork) this.#generation.gatherer.startNext(now)
      else this.#connectivity.sendOrdinary(now)
    }
  }

  #updateState(now: number): void {
    const next = nextState(now, {
      current: this.#state,
      generation: this.#generation,
      path: this.#connectivity.path,
      gatheringComplete: this.#gatheringState === 'complete',
      pacExpired: this.#pacExpired,
    })
    if (next === this.#state) return
    this.#state = next
    this.#emit({ type: 'state', state: next })
  }

  #emit(output: AgentOutput): void {
    if (output.type === 'gatheringstate') this.#gatheringState = output.state
    this.#outbox.push(output)
  }

  #log(now: number, event: string, detail: string, reason: string | undefined): void {
    this.#emit({ type: 'log', entry: { now, event, detail, ...(reason !== undefined && { reason }) } })
  }

  #assertOpen(): void {
    if (this.#state === 'closed') throw new IceError('ERR_ICE_CLOSED', 'The agent is closed: make a new one')
  }
}
