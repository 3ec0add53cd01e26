import { type Address, decode, isStun, type Machine, Outbox, type Packet } from '@floe/stun'
import { type Candidate, isReachable } from './candidate.ts'
import type { CandidatePair } from './candidate-pair.ts'
import { Connectivity } from './connectivity.ts'
import { DataPath } from './data-path.ts'
import { IceError } from './error.ts'
import { Generation } from './generation.ts'
import { Generations } from './generations.ts'
import type { LocalBase } from './local-base.ts'
import type { AgentOptions } from './options.ts'
import { OrdinaryWork } from './ordinary-work.ts'
import { type AgentOutput, type Context, contextOf, type IceTransportState } from './outputs.ts'
import { Pace, Pacer } from './pacer.ts'
import type { IceParameters, IceRole } from './parameters.ts'
import { checkLocalParameters, checkRemoteParameters, generateParameters } from './parameters.ts'
import { settledRole } from './role.ts'
import type { ServerAddress, ServerChange } from './servers.ts'
import { Sources } from './sources.ts'
import { AgentState } from './state.ts'
import type { PathSwitch } from './switch-history.ts'
import { Traversal } from './traversal.ts'

/**
 * An RFC 8445 agent for one data stream of one component, without I/O: see `Machine` for how it is driven.
 * Caller mistakes throw `IceError`; packets never do.
 */
export class IceAgent implements Machine<AgentOutput> {
  readonly lite: boolean
  readonly #context: Context
  readonly #connectivity: Connectivity
  readonly #sources: Sources
  readonly #outbox = new Outbox<AgentOutput>()
  readonly #generations: Generations
  readonly #data: DataPath
  readonly #work: OrdinaryWork
  readonly #state: AgentState
  readonly #traversal: Traversal | undefined
  /** The time of the call under way: relays have timers that start when a packet leaves. */
  #now = 0
  /** Cached `timeout()`; data packets leave it alone, so that they cost no search. */
  #deadline: number | undefined

  /** Throws ERR_ICE_ARGUMENT for malformed `parameters`. */
  constructor(options: AgentOptions) {
    this.lite = options.lite ?? false
    this.#context = contextOf(options, (output) => this.#emit(output))
    this.#state = new AgentState(this.#context.timing.pac)
    const { parameters = generateParameters(options.random), role = 'controlled' } = options
    this.#generations = new Generations(this.#newGeneration(0, checkLocalParameters(parameters)))
    this.#connectivity = new Connectivity(this.#context, this.#generation, {
      role,
      lite: this.lite,
      policy: (candidate) => isReachable(candidate.address) && (options.policy?.(candidate) ?? true),
      traversal: () => this.#traversal,
      onpair: (now, pair) => this.#sources.permit(now, pair),
      sources: () => this.#sources,
    })
    this.#data = new DataPath({
      generations: this.#generations,
      path: this.#connectivity.path,
      timing: this.#context.timing,
      transmit: (packet) => this.#transmit(packet),
      ondata: (bytes) => this.#outbox.push({ type: 'data', bytes }),
    })
    this.#sources = new Sources(this.#context, {
      generation: () => this.#generation,
      onlost: (now, isLost) => this.#connectivity.drop(now, isLost),
      onrefused: (now, isRefused, reason) => this.#connectivity.refuse(now, isRefused, reason),
      onpacket: (now, packet) => void this.#handlePeerPacket(now, packet),
    })
    const pace = new Pace(options.pacer ?? new Pacer(), this.#context.timing.Ta)
    this.#work = new OrdinaryWork(pace, this.#sources, this.#connectivity)
    const parts = { generation: () => this.#generation, connectivity: this.#connectivity, sources: this.#sources }
    this.#traversal = options.traversal && new Traversal(this.#context, options.traversal, parts)
  }

  get role(): IceRole {
    return this.#connectivity.role
  }

  get state(): IceTransportState {
    return this.#state.current
  }

  get gatheringState(): 'new' | 'gathering' | 'complete' {
    return this.#state.gathering
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

  /** The latest moves of data from one pair to another, 32 at most. */
  get switches(): readonly PathSwitch[] {
    return this.#connectivity.path.history.switches
  }

  /** The usernameFragments that requests may name: this generation's and, for a while, the one before. */
  get usernameFragments(): readonly string[] {
    return this.#generations.usernameFragments
  }

  /**
   * Makes candidates of these bases and asks these servers. May be called again with more of either.
   * `complete: false`: more will follow (names are still being resolved), so do not end the candidates yet.
   * Throws ERR_ICE_CLOSED.
   */
  gather(now: number, bases: readonly LocalBase[], servers: readonly ServerAddress[] = [], complete = true): void {
    this.#assertOpen()
    this.#emit({ type: 'gatheringstate', state: 'gathering' })
    this.#sources.gather(now, bases, this.lite ? [] : servers, complete)
    this.#progress(now)
  }

  /** A connection of a `connect` output is open. ERR_ICE_CLOSED is not thrown: drivers cannot know. */
  connected(now: number, connection: Address): void {
    this.#now = now
    if (!this.#sources.relays.connected(now, connection)) this.#connectivity.connected(now, connection)
    this.#progress(now)
  }

  /** It could not be opened, or has ended; `reason` is for people. */
  disconnected(now: number, connection: Address, reason: string): void {
    this.#now = now
    if (!this.#sources.relays.disconnected(now, connection, reason))
      this.#connectivity.disconnected(now, connection, reason)
    this.#progress(now)
  }

  /**
   * The peer's parameters: checks begin. The same ones again change nothing but the role.
   * Throws ERR_ICE_ARGUMENT for malformed ones, ERR_ICE_STATE for new ones without `restart()`, ERR_ICE_CLOSED.
   */
  start(now: number, remote: IceParameters, role?: IceRole): void {
    this.#assertOpen()
    const known = this.#generation.remote
    checkRemoteParameters(remote, known, this.lite)
    this.#connectivity.role = settledRole(this.lite, remote.iceLite ?? false, role ?? this.role)
    if (known) return
    this.#generation.setRemote(remote)
    this.#state.start(now)
    this.#context.log(now, 'start', () => `${this.role}, remote ufrag ${remote.usernameFragment}`)
    for (const candidate of this.#generation.takeHeld()) this.#connectivity.addRemote(now, candidate)
    this.#connectivity.replayEarlyChecks(now)
    this.#progress(now)
  }

  /** From signaling; `null` is the end of candidates. Candidates of another generation are kept or ignored. ERR_ICE_CLOSED. */
  addRemoteCandidate(now: number, candidate: Candidate | null): void {
    this.#assertOpen()
    if (this.#generation.remote) this.#connectivity.addRemote(now, candidate)
    else this.#generation.hold(candidate)
    this.#progress(now)
  }

  /** In answer to a `sockets` output: those that were opened, perhaps none. They are closed when `release` says so. */
  socketsOpened(now: number, near: Address, addresses: readonly Address[]): void {
    this.#traversal?.opened(now, near, addresses)
    this.#progress(now)
  }

  /** From signaling: the peer has withdrawn candidates, which are known by address. Unknown ones are ignored. ERR_ICE_CLOSED. */
  removeRemoteCandidates(now: number, candidates: readonly Candidate[]): void {
    this.#assertOpen()
    this.#state.extend(now)
    this.#connectivity.removeRemote(now, candidates)
    this.#progress(now)
  }

  /** Sockets are gone, with candidates and pairs; all that go together in one call, so that data moves to none of them. */
  removeLocalBases(now: number, addresses: readonly Address[]): void {
    this.#state.extend(now)
    this.#sources.removeBases(now, addresses)
    this.#progress(now)
  }

  /** Addresses or routes have changed, or time has passed unnoticed: paths and servers are asked anew. */
  networkChanged(now: number): void {
    this.#state.extend(now)
    this.#sources.networkChanged(now)
    this.#connectivity.networkChanged(now)
    this.#progress(now)
  }

  /**
   * The layer above has been without an answer for longer than its packets take, while consent goes on: perhaps the path
   * lets checks through and swallows data. Costs little when that is wrong: for 2.5 s data takes a second path too.
   */
  reportNoProgress(now: number): void {
    this.#connectivity.path.noProgress(now, this.#generation.checklist)
    this.#progress(now)
  }

  /**
   * `false`: no path yet, the peer's consent is lost, or the relay does not take it. The bytes are not copied: leave
   * them alone once sent. Throws ERR_ICE_ARGUMENT when they would be taken for STUN by the peer (RFC 7983), ERR_ICE_CLOSED.
   */
  send(now: number, bytes: Uint8Array): boolean {
    this.#assertOpen()
    this.#now = now
    return this.#data.send(now, bytes, this.#forgetDeadline)
  }

  /**
   * RFC 8445 §9: new parameters, new candidates over the same bases; data flows on over the old pair until the new
   * generation has one. Signal the result, then `start()` with the peer's new parameters. `servers`: asked from now on.
   * Throws ERR_ICE_CLOSED.
   */
  restart(now: number, servers?: ServerChange): IceParameters {
    this.#assertOpen()
    const next = this.#newGeneration(this.generation + 1, generateParameters(this.#context.random))
    this.#generations.restart(next, this.#connectivity.path.outlived)
    this.#connectivity.restart(this.#generation)
    this.#state.restart()
    this.#context.log(now, 'restart', () => `generation ${this.generation}`)
    if (this.gatheringState !== 'new') {
      this.#emit({ type: 'gatheringstate', state: 'gathering' })
      this.#sources.regather(now, servers)
    }
    this.#progress(now)
    return this.localParameters
  }

  /**
   * Nothing is sent to the peer or scheduled any more; only TURN servers are told to release what they hold for us, and
   * connections closed, until `timeout()` is Infinity, `releaseDeadline` ms later at most. Idempotent.
   */
  close(now: number): void {
    if (this.state === 'closed') return
    this.#now = now
    this.#traversal?.close(now)
    this.#connectivity.close()
    this.#generations.close()
    this.#context.log(now, 'close', () => '')
    this.#state.current = 'closed'
    this.#emit({ type: 'state', state: 'closed' })
    this.#sources.relays.close(now)
    this.#deadline = undefined
  }

  handlePacket(now: number, packet: Packet): boolean {
    this.#now = now
    const { relays } = this.#sources
    const isRelays = relays.uses(packet.local)
    if (!isRelays && !this.#traversal?.handlePacket(now, packet)) return this.#handlePeerPacket(now, packet)
    const mine = !isRelays || relays.handlePacket(now, packet)
    // ChannelData has been the peer's packet above, and nothing else follows from it.
    if (!isRelays || packet.bytes[0]! < 0x40) this.#progress(now)
    return mine
  }

  handleTimeout(now: number): void {
    this.#now = now
    this.#sources.relays.handleTimeout(now)
    this.#deadline = undefined
    if (this.state === 'closed') return
    this.#generation.gatherer.handleTimeout(now, !this.selectedPair)
    this.#connectivity.handleTimeout(now)
    this.#traversal?.handleTimeout(now)
    if (this.#generations.handleTimeout(now)) {
      this.#connectivity.closeStaleConnections()
      this.#sources.forgetPrevious(now)
    }
    this.#state.handleTimeout(now)
    this.#progress(now, false)
  }

  timeout(): number {
    if (this.#deadline !== undefined) return this.#deadline
    const relays = this.#sources.relays.timeout()
    if (this.state === 'closed') return (this.#deadline = relays)
    return (this.#deadline = Math.min(
      relays,
      this.#generation.gatherer.timeout(!this.selectedPair),
      this.#connectivity.timeout(),
      this.#work.timeout(),
      this.#generations.timeout(),
      this.#traversal?.timeout() ?? Number.POSITIVE_INFINITY,
      this.#state.timeout(),
    ))
  }

  poll(): AgentOutput | undefined {
    return this.#outbox.poll()
  }

  /** From the peer or a STUN server, over a socket of ours or through a relay. */
  #handlePeerPacket(now: number, packet: Packet): boolean {
    if (this.state === 'closed') return false
    const first = packet.bytes[0]
    if (first === undefined) return false
    // RFC 7983: STUN begins with 0 to 3; everything else is the layer's above.
    return first < 4 && isStun(packet.bytes) ? this.#handleStun(now, packet) : this.#handleData(now, packet)
  }

  #handleData(now: number, packet: Packet): boolean {
    const received = this.#data.receive(now, packet, this.role === 'controlled')
    if (received === 'news') this.#progress(now)
    return received !== undefined
  }

  #handleStun(now: number, packet: Packet): boolean {
    const message = decode(packet.bytes)
    if (message?.method !== 'binding') return false
    if (message.class === 'request') {
      const generation = this.#generations.named(message.attributes.username)
      if (!generation) return false
      this.#connectivity.handleRequest(now, message, packet, generation)
    } else if (message.class === 'indication') {
      // RFC 8445 §11: a keepalive. Not authenticated, so it says no more than data does.
      const pair = this.#data.pairOf(packet)
      if (!pair?.authenticated || message.unknownRequired.length > 0) return false
      pair.heard(now)
    } else if (!this.#generation.gatherer.handleResponse(now, message, packet)) {
      const isAnswer = this.#connectivity.handleResponse(now, message, packet)
      if (!isAnswer && !this.#traversal?.handleResponse(now, message, packet)) return false
    }
    this.#progress(now)
    return true
  }

  get #generation(): Generation {
    return this.#generations.current
  }

  #newGeneration(number: number, parameters: IceParameters): Generation {
    return new Generation(this.#context, number, parameters, {
      awaitsRelays: () => !this.#sources.relays.settled,
      onreach: (now, host) => this.#connectivity.adoptLocal(now, host, undefined),
      onremoved: (candidates) => this.#emit({ type: 'candidatesremoved', candidates }),
      oncandidate: (now, candidate, replaced) => {
        this.#emit({ type: 'candidate', candidate })
        this.#connectivity.adoptLocal(now, candidate, replaced)
      },
    })
  }

  /** What every change ends with: the next paced transaction, the state, the deadline. `isNews`: more than time has passed. */
  #progress(now: number, isNews = true): void {
    this.#deadline = undefined
    if (this.state === 'closed') return
    if (isNews) this.#connectivity.leaveDead(now)
    this.#traversal?.update(now)
    this.#work.start(now)
    const { path } = this.#connectivity
    if (this.#state.update(now, this.#generation, path)) this.#emit({ type: 'state', state: this.state })
    if (path.selected && !path.outlived) this.#generations.retire(now + this.#context.timing.restartLinger)
  }

  readonly #forgetDeadline = () => void (this.#deadline = undefined)

  #emit(output: AgentOutput): void {
    if (output.type === 'packet') return void this.#transmit(output.packet, output.ttl)
    // Closed: what releases relays is all that still leaves.
    if (this.state === 'closed' && output.type !== 'state' && output.type !== 'disconnect') return
    if (output.type === 'gatheringstate' && !this.#state.enterGathering(output.state)) return
    this.#outbox.push(output)
  }

  /** Onto the wire, or into the relay whose address it bears. */
  #transmit(packet: Packet, ttl?: number): boolean {
    const { relays } = this.#sources
    if (relays.carries(packet.local)) return relays.transmit(this.#now, packet)
    this.#outbox.push(ttl === undefined ? { type: 'packet', packet } : { type: 'packet', packet, ttl })
    return true
  }

  #assertOpen(): void {
    if (this.state === 'closed') throw new IceError('ERR_ICE_CLOSED', 'The agent is closed: make a new one')
  }
}
