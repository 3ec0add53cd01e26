import { expect, test, vi } from 'vitest'
import {
  DtlsClient,
  DtlsServer,
  RTCDtlsFingerprint,
  RTCDtlsParameters,
  RTCDtlsTransport,
  RTCIceGatherer,
  RTCIceTransport,
  RTCSctpTransport,
  Event as WeriftEvent,
} from 'werift'
import packageJson from '../package.json' with { type: 'json' }
import { RTCCertificate } from '../src/node/certificate.ts'
import { GuardedDtlsTransport } from '../src/node/dtls-transport.ts'
import { IceConnection } from '../src/node/ice-connection.ts'
import { SeamPeerConnection, type SeamTransport } from '../src/node/seam.ts'
import {
  dtlsInternals,
  installedWeriftVersion,
  peerConnectionInternals,
  sctpTransportInternals,
  WERIFT_VERSION,
  writeKeys,
} from '../src/node/werift-internals.ts'
import { dtlsPair } from './dtls-pair.ts'
import { LOOPBACK } from './pair.ts'

/*
 * The contract with werift. When one of these fails after an upgrade, the seam has moved: read
 * src/node/werift-internals.ts, find the new place, and only then change WERIFT_VERSION.
 */

function seam(): { peer: SeamPeerConnection; transports: SeamTransport[] } {
  const transports: SeamTransport[] = []
  const onTransport = (transport: SeamTransport) => transports.push(transport)
  const peer = new SeamPeerConnection({
    ice: LOOPBACK.ice!,
    bundlePolicy: 'max-bundle',
    maxMessageSize: 1,
    onTransport,
    onAssociation() {},
  })
  peer.ensureSctp()
  return { peer, transports }
}

test('exactly the version that the seam was cut for', () => {
  expect(installedWeriftVersion()).toBe(WERIFT_VERSION)
  expect(packageJson.dependencies.werift).toBe(WERIFT_VERSION)
})

test('the private members are where they were', async () => {
  const { peer } = seam()
  const { secureManager, sdpManager, sctpManager } = peerConnectionInternals(peer)
  expect(secureManager.createTransport).toBeTypeOf('function')
  expect(secureManager.getTransportByMLineIndex).toBeTypeOf('function')
  expect(secureManager.updateIceGatheringState).toBeTypeOf('function')
  expect(secureManager.updateIceConnectionState).toBeTypeOf('function')
  expect(sctpManager.createSctpTransport).toBeTypeOf('function')
  expect(Object.keys(sdpManager)).toEqual(
    expect.arrayContaining(['currentLocalDescription', 'pendingLocalDescription', 'currentRemoteDescription']),
  )
  expect(peerConnectionInternals(peer).createSctpTransport).toBeTypeOf('function')
  expect(Object.keys(peer)).toContain('lastCreatedOffer')
  expect(sctpTransportInternals(peer.sctpTransport!).datachannelReceive).toBeTypeOf('function')
  const dtls = new RTCDtlsTransport({ debug: {} }, new RTCIceTransport(new RTCIceGatherer({})))
  expect(dtlsInternals(dtls).verifyRemoteCertificateFingerprint).toBeTypeOf('function')
  expect(dtlsInternals(dtls).startSrtp).toBeTypeOf('function')
  dtls.setRemoteParams(new RTCDtlsParameters([new RTCDtlsFingerprint('sha-256', '00')], 'client'))
  expect(dtlsInternals(dtls).remoteParameters).toMatchObject({ role: 'client', fingerprints: [{ value: '00' }] })
  await peer.close()
})

test("the members of werift's SCTP that are replaced, read or called are where they were", async () => {
  const { peer } = seam()
  // As werift makes it: ours has been put right already.
  const { sctp } = new RTCSctpTransport(5000)
  expect(sctp).toBeUndefined()
  const original = new (peer.sctpTransport!.sctp.constructor as new (transport: object) => object)({})
  const functions = [
    'handleData',
    'markReceived',
    'sendSack',
    'sendChunk',
    'receiveDataChunk',
    'receiveForwardTsnChunk',
  ]
  functions.push('transmit', 'scheduleSack', 'receiveSackChunk', 'flightSizeIncrease')
  functions.push('timer3Start', 'timer3Restart', 'timer3Cancel', 'timer3Expired')
  functions.push('receiveReconfigParam', 'sendReconfigParam', 'transmitReconfigRequest', 'timerReconfigCancel')
  functions.push(
    'maybeAbandon',
    'updateAdvancedPeerAckPoint',
    'flightSizeDecrease',
    'updateRto',
    'abort',
    'onSackReceived',
    'send',
  )
  for (const name of functions) expect(Reflect.get(original, name), name).toBeTypeOf('function')
  expect(original).toMatchObject({
    associationState: 1,
    state: 'new',
    transport: {},
    localPort: 5000,
    localVerificationTag: expect.any(Number),
    remoteVerificationTag: 0,
    localTsn: expect.any(Number),
    maxPayloadSize: 1160,
    flightSize: 0,
    cwnd: 3480,
    partialBytesAcked: 0,
    peerAdvertisedRwnd: 1_048_576,
    peerRwnd: 1_048_576,
    fastRecoveryTransmit: false,
    sackHasNewDataInPacket: false,
    flush: expect.any(WeriftEvent),
    isStopped: false,
    isStopping: false,
    remoteExtensions: [],
    outboundQueue: [],
    sentQueue: [],
    lastSackedTsn: expect.any(Number),
    advancedPeerAckTsn: expect.any(Number),
    advertisedRwnd: 1_048_576,
    sackMisOrdered: new Set(),
    sackDuplicates: [],
    sackNeeded: false,
    sackPacketCount: 0,
    sackImmediate: false,
    inboundStreams: {},
    outboundStreamSeq: {},
    reconfigQueue: [],
    reconfigResponseSeq: 0,
    rto: 3,
    stateChanged: { connected: expect.any(WeriftEvent), closed: expect.any(WeriftEvent) },
  })
  for (const name of ['remotePort', 'ssthresh', 'fastRecoveryExit', 'timer3Handle'])
    expect(original).toHaveProperty(name)
  for (const name of ['forwardTsnChunk', 'lastReceivedTsn', 'reconfigRequest', 'srtt', 'rttvar'])
    expect(original).toHaveProperty(name)
  await peer.close()
})

test("werift's parts are the ones that were swapped in", async () => {
  const { peer, transports } = seam()
  expect(transports).toHaveLength(1)
  const { dtls, connection } = transports[0]!
  expect(dtls).toBeInstanceOf(GuardedDtlsTransport)
  expect(peer.dtlsTransports).toEqual([dtls])
  expect(peer.iceTransports[0]!.connection).toBe(connection)
  expect(connection).toBeInstanceOf(IceConnection)
  await peer.close()
})

test('everything that werift asks of an ICE connection is there', async () => {
  // The fields of werift's own implementation that its upper layers read; methods by their type.
  const original = new RTCIceGatherer({}).connection
  const { peer, transports } = seam()
  const { connection } = transports[0]!
  const methods = ['restart', 'setIceServers', 'setRemoteParams', 'gatherCandidates', 'connect', 'close'] as const
  for (const name of [...methods, 'addRemoteCandidate', 'send', 'getDefaultCandidate', 'resetNominatedPair'] as const) {
    expect(original[name], name).toBeTypeOf('function')
    expect(connection[name], name).toBeTypeOf('function')
  }
  for (const name of ['localUsername', 'localPassword', 'remoteUsername', 'remotePassword', 'state'] as const) {
    expect(original[name], name).toBeTypeOf('string')
    expect(connection[name], name).toBeTypeOf('string')
  }
  for (const name of ['onData', 'stateChanged', 'onIceCandidate'] as const) {
    expect(original[name], name).toBeInstanceOf(WeriftEvent)
    expect(connection[name], name).toBeInstanceOf(WeriftEvent)
  }
  await peer.close()
})

test('the transports have own fields where ours put accessors', () => {
  const gatherer = new RTCIceGatherer({})
  expect(Object.keys(gatherer)).toContain('connection')
  const ice = new RTCIceTransport(gatherer)
  expect(ice.onNegotiationNeeded).toBeInstanceOf(WeriftEvent)
  const dtls = new RTCDtlsTransport({ debug: {} }, ice)
  for (const name of ['dtls', 'dataReceiver', 'sendData']) {
    expect(Object.getOwnPropertyDescriptor(dtls, name), name).toMatchObject({ configurable: true, writable: true })
  }
})

test('a DTLS client speaks in the turn in which it starts, and its flights end when it stops', async () => {
  const { peer, transports } = seam()
  const { dtls, connection } = transports[0]!
  peerConnectionInternals(peer).secureManager.certificate = RTCCertificate.unwrap(await RTCCertificate.generate())
  await peer.createOffer()
  const sent = vi.spyOn(connection, 'send')
  dtls.role = 'client'
  dtls.setRemoteParams(new RTCDtlsParameters([new RTCDtlsFingerprint('sha-256', '00')], 'server'))
  void dtls.start().catch(() => {})
  await new Promise(process.nextTick)
  // werift's 100 ms sleep has not passed: without the seam nothing would have been sent.
  expect(sent).toHaveBeenCalledOnce()
  expect(dtls.dtls!.dtls.flight).toBe(1)
  await peer.close()
  expect(dtls.dtls!.dtls.flight).toBe(Number.POSITIVE_INFINITY)
})

test('a DTLS socket has the keys of both directions, and a counter of the records that it has sent', async () => {
  await using pair = await dtlsPair()
  expect(await pair.outcomes()).toEqual([undefined, undefined])
  const sockets = [pair.client.dtls.dtls!, pair.server.dtls.dtls!]
  for (const socket of sockets) {
    const { client, server } = writeKeys(socket)
    for (const { key, salt } of [client, server]) expect([key.length, salt.length]).toEqual([16, 4])
    expect(client.key).not.toEqual(server.key)
    expect(socket.dtls.recordSequenceNumber).toBeTypeOf('number')
  }
  expect(writeKeys(sockets[0]!)).toEqual(writeKeys(sockets[1]!))
})

test('an offer with the flag of a restart has new credentials', async () => {
  const { peer, transports } = seam()
  const { connection } = transports[0]!
  await peer.setLocalDescription()
  const before = connection.localUsername
  peer.needRestart = true
  await peer.createOffer()
  expect(connection.localUsername).not.toBe(before)
  expect([connection.generation, peer.needRestart]).toEqual([1, false])
  await peer.close()
})

test('a DTLS socket hands its handshakes to a function that can be wrapped, and keeps its transcript', () => {
  const transport = { send: async () => {}, close: async () => {}, onData: () => {}, type: 'udp', address: {} } as never
  for (const socket of [new DtlsClient({ transport }), new DtlsServer({ transport })]) {
    expect(Object.getOwnPropertyDescriptor(socket, 'onHandleHandshakes')).toMatchObject({ writable: true })
    expect(socket.dtls).toMatchObject({ flight: 0, epoch: 0, recordSequenceNumber: 0 })
    expect(Object.keys(socket.dtls)).toContain('cookie')
    expect(socket.cipher.encryptPacket).toBeTypeOf('function')
    expect(Object.getOwnPropertyNames(socket.cipher)).not.toContain('encryptPacket')
    expect(socket.transport.send).toBeTypeOf('function')
    expect(socket.dtls.sortedHandshakeCache).toEqual([])
  }
})
