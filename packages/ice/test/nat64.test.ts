import { decode, type Packet } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { Side } from './wire.ts'

const V6 = '2001:db8::2'
const V4 = '198.51.100.9'
/** Where the translator sends from on the IPv4 side. */
const OUTSIDE = '192.0.2.64'
const SERVER = { scheme: 'stun', address: { ip: '192.0.2.1', port: 3478 }, url: 'stun:192.0.2.1' } as const

/** An IPv6-only agent and an IPv4-only one, with a NAT64 between them as its driver shows it: one side of it per end. */
class Translation {
  readonly six = new Side(1, [V6])
  readonly four = new Side(2, [V4])
  now = 0

  gather(translated: boolean): void {
    this.six.agent.gather(0, [{ ...this.six.bases[0]!, ...(translated && { translated }) }], [SERVER])
    this.four.agent.gather(0, this.four.bases)
    this.drain()
    this.six.agent.start(0, this.four.agent.localParameters, 'controlling')
    this.four.agent.start(0, this.six.agent.localParameters, 'controlled')
    for (const candidate of this.six.candidates()) this.four.agent.addRemoteCandidate(0, candidate)
    for (const candidate of this.four.candidates()) this.six.agent.addRemoteCandidate(0, candidate)
    this.run(0)
  }

  run(duration: number): void {
    const end = this.now + duration
    const agents = [this.six.agent, this.four.agent]
    const next = () => Math.min(...agents.map((agent) => agent.timeout()))
    for (this.drain(); next() <= end; this.drain()) {
      this.now = Math.max(this.now, next())
      for (const agent of agents) agent.handleTimeout(this.now)
    }
    this.now = end
  }

  drain(): void {
    let busy = true
    while (busy) {
      busy = false
      for (const side of [this.six, this.four]) {
        for (let output = side.agent.poll(); output; output = side.agent.poll()) {
          side.outputs.push(output)
          busy = true
          if (output.type === 'packet') this.#route(side, output.packet)
        }
      }
    }
  }

  #route(from: Side, packet: Packet): void {
    const { port } = packet.local
    if (from === this.six && packet.remote.ip === V4)
      this.four.agent.handlePacket(this.now, {
        ...packet,
        local: this.four.bases[0]!.address,
        remote: { ip: OUTSIDE, port },
      })
    if (from === this.four && packet.remote.ip === OUTSIDE)
      this.six.agent.handlePacket(this.now, { ...packet, local: this.six.bases[0]!.address, remote: packet.local })
  }
}

describe('a base that reaches IPv4 through a NAT64', () => {
  test('pairs with IPv4 candidates, labelled as such, and connects', () => {
    const net = new Translation()
    net.gather(true)
    net.run(1_000)
    expect([net.six.agent.state, net.four.agent.state]).toEqual(['connected', 'connected'])
    const { selectedPair } = net.six.agent
    expect(selectedPair?.remote).toMatchObject({ type: 'host', address: { ip: V4 } })
    // What the peer has seen of us is of the other family than its base.
    expect(selectedPair?.local).toMatchObject({ type: 'prflx', address: { ip: OUTSIDE }, base: { ip: V6 } })
    expect(net.four.agent.selectedPair?.remote.address.ip).toBe(OUTSIDE)
    expect(net.six.agent.send(net.now, Uint8Array.of(200))).toBe(true)
    net.drain()
    expect(net.four.all('data')).toHaveLength(1)
  })

  test('one that becomes known later pairs with what is there, and asks the IPv4 servers', () => {
    const net = new Translation()
    net.gather(false)
    net.run(1_000)
    expect(net.six.agent.checklist).toEqual([])
    net.six.agent.gather(net.now, [{ ...net.six.bases[0]!, translated: true }])
    net.run(1_000)
    expect(net.six.agent.state).toBe('connected')
    const asked = net.six.all('packet').filter(({ packet }) => packet.remote.ip === SERVER.address.ip)
    expect(decode(asked[0]!.packet.bytes)?.method).toBe('binding')
    expect(net.six.candidates().filter(({ type }) => type === 'host')).toHaveLength(1)
  })

  test('is still one after an ICE restart', () => {
    const net = new Translation()
    net.gather(true)
    net.run(1_000)
    const parameters = [net.six.agent.restart(net.now), net.four.agent.restart(net.now)] as const
    net.six.agent.start(net.now, parameters[1])
    net.four.agent.start(net.now, parameters[0])
    const [host] = net.four.candidates()
    net.six.agent.addRemoteCandidate(net.now, { ...host!, usernameFragment: parameters[1].usernameFragment })
    net.run(1_000)
    expect(net.six.agent.selectedPair?.remote.address.ip).toBe(V4)
    expect(net.six.agent.generation).toBe(1)
  })

  test('any other IPv6 base does not pair with IPv4', () => {
    const net = new Translation()
    net.gather(false)
    net.run(5_000)
    expect(net.six.agent.checklist).toEqual([])
    expect(net.six.all('packet')).toEqual([])
  })
})
