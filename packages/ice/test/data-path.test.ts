import type { Packet } from '@floe/stun'
import { expect, test } from 'vitest'
import { Side, Wire } from './wire.ts'

const PACKETS = 2_000
/** The packet object and its output outwards, the output inwards; no copy of the 1200 bytes. */
const BUDGET = 400

/** Bytes of heap that one call takes, the least of several rounds: a collection in one of them makes it look negative. */
function allocatedBy(work: () => void): number {
  const rounds: number[] = []
  for (let round = 0; round < 12; round++) {
    const before = process.memoryUsage().heapUsed
    for (let i = 0; i < PACKETS; i++) work()
    const taken = (process.memoryUsage().heapUsed - before) / PACKETS
    if (taken >= 0) rounds.push(taken)
  }
  return Math.min(...rounds)
}

test(`L99 a data packet takes at most ${BUDGET} bytes of heap on its way through an agent, each way`, () => {
  const wire = new Wire(new Side(1, ['10.0.0.1']), new Side(2, ['10.0.0.2']))
  wire.connect()
  wire.run(1_000)
  const [{ agent, bases }] = wire.sides
  const bytes = new Uint8Array(1_200).fill(200)
  const sent = allocatedBy(() => {
    agent.send(wire.now, bytes)
    while (agent.poll()) {}
  })
  const packet: Packet = { protocol: 'udp', local: bases[0]!.address, remote: { ip: '10.0.0.2', port: 5000 }, bytes }
  let heard = 0
  const received = allocatedBy(() => {
    agent.handlePacket(wire.now, packet)
    while (agent.poll()) heard++
  })
  expect(heard).toBeGreaterThan(PACKETS)
  expect(sent).toBeLessThanOrEqual(BUDGET)
  expect(received).toBeLessThanOrEqual(BUDGET)
})
