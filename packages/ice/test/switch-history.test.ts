import { expect, test } from 'vitest'
import { LIMITS, pairReport } from '../src/index.ts'
import { Side, Wire } from './wire.ts'

const FIRST = '10.0.0.1'
const SECOND = '10.0.1.1'

function connected(policyFor: () => string = () => FIRST): Wire {
  const isOn = (ip: string | undefined) => ip === policyFor()
  const a = new Side(1, [FIRST, SECOND], {
    pathPolicy: ({ local }) => (isOn(local.base?.ip) ? 'prefer' : undefined),
  })
  const wire = new Wire(a, new Side(2, ['10.0.0.2']))
  wire.latency = 20
  wire.connect()
  wire.run(3_000)
  return wire
}

test('a switch is remembered with its time, its pairs and its reason, as the event tells it', () => {
  const wire = connected()
  const [{ agent }] = wire.sides
  const { id, stats } = agent.selectedPair!
  expect(agent.switches).toEqual([])
  wire.drop = ({ local, remote }) => [local.ip, remote.ip].includes(FIRST)
  const died = wire.now
  wire.run(12_000)
  const [only] = agent.switches
  expect(agent.switches).toHaveLength(1)
  expect(only).toMatchObject({ from: id, to: agent.selectedPair!.id, path: expect.stringContaining(SECOND) })
  expect(only!.at).toBeGreaterThan(died)
  expect(only!.reason).toBe(wire.sides[0].all('selectedpair').at(-1)!.reason)
  expect(stats.requestsSent).toBeGreaterThan(stats.responsesReceived)
})

test('a pair that was lost before is no longer named', () => {
  const wire = connected()
  const [{ agent, bases }] = wire.sides
  for (const { address } of bases) agent.removeLocalBases(wire.now, [address])
  agent.gather(wire.now, bases)
  wire.run(3_000)
  expect(agent.switches.at(-1)).toMatchObject({ from: undefined, to: agent.selectedPair!.id })
})

test('the latest switches are remembered, and no more than the limit', () => {
  let preferred = FIRST
  const wire = connected(() => preferred)
  const [{ agent }] = wire.sides
  for (let n = 0; n < LIMITS.switches + 8; n++) {
    preferred = preferred === FIRST ? SECOND : FIRST
    wire.run(7_000)
  }
  expect(agent.switches).toHaveLength(LIMITS.switches)
  expect(agent.switches.at(-1)!.to).toBe(agent.selectedPair!.id)
})

test('the report of a pair: seconds, timestamps, loss and consent', () => {
  const wire = connected()
  const pair = wire.sides[0].agent.selectedPair!
  const before = pairReport(pair, 1_000_000)
  expect(before).toMatchObject({ currentRoundTripTime: 0.04, smoothedRoundTripTime: 0.04, requestLoss: 0, deaths: 0 })
  expect(before.lastPacketReceivedTimestamp).toBeGreaterThan(1_000_000)
  expect(before.consentTimestamp).toBeLessThanOrEqual(1_000_000 + wire.now)
  wire.drop = () => true
  wire.run(10_000)
  const after = pairReport(pair, 1_000_000)
  expect(after.requestLoss).toBeGreaterThan(0.5)
  expect(after.requestLoss).toBeLessThan(1)
  expect(after).toMatchObject({ deaths: 1, consentTimestamp: before.consentTimestamp })
})

test('a pair that nothing was sent on has no loss, and no times', () => {
  const wire = new Wire(new Side(1, [FIRST]), new Side(2, ['10.0.0.2']))
  for (const { agent, bases } of wire.sides) agent.gather(0, bases)
  const [a, b] = wire.sides
  a.agent.start(0, b.agent.localParameters, 'controlling')
  const [first] = b.agent.localCandidates
  for (let n = 1; n <= 3; n++) a.agent.addRemoteCandidate(0, { ...first!, address: { ip: '10.0.0.2', port: n } })
  const report = pairReport(a.agent.checklist.at(-1)!, 0)
  expect(report).not.toHaveProperty('requestLoss')
  expect(report).not.toHaveProperty('lastPacketSentTimestamp')
  expect(report).not.toHaveProperty('consentTimestamp')
})
