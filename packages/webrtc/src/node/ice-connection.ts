import type { IceParameters } from '@floe/ice'
import { parseCandidate } from '@floe/ice'
import {
  type IceCandidateInit,
  IceTransport,
  type IceTransportEventMap,
  type IceTransportOptions,
} from '@floe/ice/node'
import {
  Event,
  type IceOptions,
  type Candidate as WeriftCandidate,
  type CandidatePair as WeriftCandidatePair,
  type IceConnection as WeriftIceConnection,
} from 'werift'
import { isDtls } from './dtls-record.ts'
import { type ApplicationRecords, DtlsShim } from './dtls-shim.ts'
import { viewCandidate, viewPair } from './ice-views.ts'
import { RemoteLines } from './remote-lines.ts'

/** What the peer's DTLS sends before ours listens: a ClientHello, a few times over. */
const MAX_EARLY_BYTES = 32_768

type WeriftIceState = WeriftIceConnection['state']
/** Under exactOptionalPropertyTypes a getter cannot implement `nominated?`. */
type Contract = Omit<WeriftIceConnection, 'nominated'>

/**
 * werift's view of ICE, over floe's {@link IceTransport}. Upwards it is what werift calls an IceConnection; downwards it
 * starts, restarts and feeds the transport; in between, DTLS passes through the {@link DtlsShim}.
 */
export class IceConnection implements Contract {
  /** What the transport dispatches, whichever transport it is at the time. */
  readonly transportEvent = new Event<[event: globalThis.Event]>()
  readonly onData = new Event<[Buffer]>()
  readonly stateChanged = new Event<[WeriftIceState]>()
  readonly onIceCandidate = new Event<[WeriftCandidate]>()
  /** All candidates of this generation are known. */
  readonly gathered = new Event<[]>()

  /** werift sets it when it knows who offered; it counts until checks start, and ICE settles the rest (RFC 8445 §7.3.1.1). */
  iceControlling = false
  readonly iceLite: boolean
  readonly options: IceOptions = { iceLite: false, useTcp: false, useIpv4: true, useIpv6: true }
  remoteCandidatesEnd = false
  generation = 0
  /** As it is told: the transport may be through with gathering before it has told that it began. */
  gatheringState: RTCIceGatheringState = 'new'

  readonly #remoteLines: RemoteLines
  #transport: IceTransport
  readonly #shim: DtlsShim
  #early: Buffer[] | undefined = []
  #earlyBytes = 0
  #connecting = false
  #gathering = false
  #earlyCandidates: string[] = []
  /** For a transport that takes the place of this one before anything has been gathered. */
  #remoteCandidates: (IceCandidateInit | null)[] = []
  #remote: IceParameters | undefined
  #remoteBeforeRestart: IceParameters | undefined
  #started: IceParameters | undefined

  constructor(options: IceTransportOptions, remoteLines: RemoteLines = new RemoteLines()) {
    this.#remoteLines = remoteLines
    this.iceLite = options.lite ?? false
    this.#transport = this.#createTransport(options)
    this.#shim = new DtlsShim({
      send: (datagram) => {
        if (this.transport.state !== 'closed') this.transport.send(datagram)
      },
      deliver: (record) => this.onData.execute(record),
      roundTripTime: () => this.transport.getSelectedCandidatePair()?.roundTripTime,
    })
  }

  get transport(): IceTransport {
    return this.#transport
  }
  get localUsername(): string {
    return this.transport.getLocalParameters().usernameFragment
  }
  get localPassword(): string {
    return this.transport.getLocalParameters().password
  }
  get remoteUsername(): string {
    return this.#remote?.usernameFragment ?? ''
  }
  get remotePassword(): string {
    return this.#remote?.password ?? ''
  }
  get remoteIsLite(): boolean {
    return this.#remote?.iceLite ?? false
  }
  get localCandidatesEnd(): boolean {
    return this.transport.gatheringState === 'complete'
  }
  /** Held back until werift has called {@link connect}: it skips DTLS when ICE got there first. */
  get state(): WeriftIceState {
    const { state } = this.transport
    if (state === 'closed') return state
    return !this.#connecting || state === 'checking' ? 'new' : state
  }

  get localCandidates(): WeriftCandidate[] {
    return this.transport.getLocalCandidates().map(viewCandidate)
  }
  get remoteCandidates(): WeriftCandidate[] {
    return this.transport.getRemoteCandidates().map(viewCandidate)
  }
  get checkList(): WeriftCandidatePair[] {
    return this.transport.checklist.map((pair) => viewPair(pair, this.iceControlling))
  }
  get candidatePairs(): WeriftCandidatePair[] {
    return this.checkList
  }
  get nominated(): WeriftCandidatePair | undefined {
    const pair = this.transport.getSelectedCandidatePair()
    return pair ? viewPair(pair, this.iceControlling) : undefined
  }
  getDefaultCandidate(): WeriftCandidate | undefined {
    return this.localCandidates[0]
  }

  /**
   * Other servers and another policy, webrtc-pc §4.4.1.6. Both count when nothing has been gathered yet; afterwards the
   * servers do from the next ICE restart on, and the policy stays.
   */
  reconfigure(options: IceTransportOptions): void {
    const { gatheringState, state } = this.#transport
    if (state === 'closed') return
    if (this.#gathering || this.generation > 0 || gatheringState !== 'new') {
      return this.#transport.setIceServers(options.iceServers ?? [])
    }
    const previous = this.#transport
    this.#transport = this.#createTransport({ ...options, parameters: previous.getLocalParameters() })
    for (const candidate of this.#remoteCandidates) this.#transport.addRemoteCandidate(candidate)
    void previous.close()
  }

  /** After a restart the transport has begun by itself, before there was a description to name the candidates in. */
  async gatherCandidates(): Promise<void> {
    this.#setGatheringState('gathering')
    this.transport.gather()
    this.#gathering = true
    this.#remoteCandidates = []
    for (const candidate of this.#earlyCandidates.splice(0)) this.#reportCandidate(candidate)
    this.#reportGathered()
  }

  setRemoteParams(remote: IceParameters): void {
    // The peer has answered a restart that was rolled back meanwhile: the old generation goes on.
    if (isSame(remote, this.#remoteBeforeRestart)) return
    this.#remote = remote
    if (this.#connecting) this.#start()
  }

  /** Resolves when a pair is selected. Rejects when ICE fails; after a restart werift calls it again. */
  async connect(): Promise<void> {
    this.#connecting = true
    this.#start()
    await this.transport.connected()
  }

  async addRemoteCandidate(candidate: WeriftCandidate | undefined): Promise<void> {
    if (!candidate) this.remoteCandidatesEnd = true
    const usernameFragment = candidate?.ufrag ?? null
    const init = candidate ? { candidate: this.#remoteLines.take(candidate.toSdp()), usernameFragment } : null
    if (!this.#gathering) this.#remoteCandidates.push(init)
    this.transport.addRemoteCandidate(init)
  }

  /** The peer has withdrawn them. */
  removeRemoteCandidates(candidates: readonly IceCandidateInit[]): void {
    if (this.transport.state !== 'closed') this.transport.removeRemoteCandidates(candidates)
  }

  /** New credentials; the selected pair goes on carrying data until the new generation has one (RFC 8445 §9). */
  restart(): void {
    this.#remoteBeforeRestart = this.#remote ?? this.#remoteBeforeRestart
    this.#remote = undefined
    this.remoteCandidatesEnd = false
    this.generation++
    this.#gathering = false
    this.#earlyCandidates = []
    this.transport.restart()
  }

  async send(data: Buffer): Promise<void> {
    if (isDtls(data)) this.#shim.send(data)
    else if (this.transport.state !== 'closed') this.transport.send(data)
  }

  async close(): Promise<void> {
    this.dtlsEnded()
    await this.transport.close()
  }

  /** The DTLS socket listens: it gets what came before it did. */
  dtlsReady(role: 'client' | 'server'): void {
    this.#shim.start(role)
    const early = this.#early
    this.#early = undefined
    for (const datagram of early ?? []) this.#shim.receive(datagram)
  }

  /** The application record that DTLS has just been given is authentic. */
  dtlsAccepted(): void {
    this.#shim.accept()
  }

  /** From here on the records of application data are for `application`. */
  dtlsEstablished(application: ApplicationRecords): void {
    this.#shim.establish(application)
  }

  dtlsEnded(): void {
    this.#early = undefined
    this.#shim.close()
  }

  /** Nothing of werift's own ICE is in use, so its servers and its nominated pair are nobody's concern. */
  setIceServers(): void {}
  resetNominatedPair(): void {}

  #createTransport(options: IceTransportOptions): IceTransport {
    const transport = new IceTransport(options)
    transport.ondata = (bytes) => this.#receive(bytes)
    const listen = <Type extends keyof IceTransportEventMap>(
      type: Type,
      handle: (event: IceTransportEventMap[Type]) => void = () => {},
    ) => {
      transport.addEventListener(type, (event) => {
        if (transport !== this.#transport) return
        handle(event)
        this.transportEvent.execute(event)
      })
    }
    listen('icecandidate', ({ candidate }) => this.#reportCandidate(candidate?.candidate))
    transport.addEventListener('gatheringstatechange', () => transport === this.#transport && this.#reportGathered())
    listen('statechange', () => this.#reportState())
    listen('icecandidateerror')
    listen('icecandidatesremoved')
    listen('selectedcandidatepairchange')
    return transport
  }

  #start(): void {
    if (!this.#remote || isSame(this.#remote, this.#started)) return
    const role = this.iceControlling ? 'controlling' : 'controlled'
    // RFC 8445 §6.1.1: roles outlive an ICE restart.
    this.transport.start(this.#remote, this.#started ? undefined : role)
    this.#started = this.#remote
  }

  #receive(bytes: Uint8Array): void {
    const datagram = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (!isDtls(datagram)) this.onData.execute(datagram)
    else if (!this.#early) this.#shim.receive(datagram)
    else if ((this.#earlyBytes += datagram.length) <= MAX_EARLY_BYTES) this.#early.push(Buffer.from(datagram))
  }

  #reportCandidate(line: string | undefined): void {
    if (!this.#gathering) {
      if (line) this.#earlyCandidates.push(line)
      return
    }
    const candidate = line ? parseCandidate(line) : undefined
    if (candidate) this.onIceCandidate.execute(viewCandidate(candidate))
  }

  #reportGathered(): void {
    if (!this.#gathering || this.transport.gatheringState !== 'complete') return
    this.#setGatheringState('complete')
    this.gathered.execute()
  }

  #setGatheringState(state: RTCIceGatheringState): void {
    if (this.gatheringState === state) return
    this.gatheringState = state
    this.transportEvent.execute(new globalThis.Event('gatheringstatechange'))
  }

  #reportState(): void {
    if (this.#connecting && this.transport.state !== 'checking') this.stateChanged.execute(this.state)
  }
}

function isSame(a: IceParameters, b: IceParameters | undefined): boolean {
  return a.usernameFragment === b?.usernameFragment && a.password === b.password
}
