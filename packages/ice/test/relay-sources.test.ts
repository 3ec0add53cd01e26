import { expect, test } from 'vitest'
import { type AgentOutput, IceAgent, type LocalBase, type TurnServer } from '../src/index.ts'

const SERVER: TurnServer = {
  scheme: 'turn',
  protocol: 'tls',
  address: { ip: '192.0.2.1', port: 443 },
  url: 'turns:192.0.2.1:443?transport=tcp',
  username: 'u',
  credential: 'p',
}

function base(ip: string, rank: number): LocalBase {
  return { address: { ip, port: 0 }, interfaceName: `eth${rank}`, rank, relayOnly: true }
}

/** An agent whose connections fail when `fails` says so; the local addresses that it tried, in order. */
class Dialer {
  readonly agent = new IceAgent({ random: (length) => new Uint8Array(length).fill(7) })
  readonly tried: string[] = []
  readonly errors: string[] = []
  now = 0

  gather(bases: readonly LocalBase[], server = SERVER): void {
    this.agent.gather(this.now, bases, [server])
    this.#drain()
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.agent.timeout() <= end; ) {
      this.now = Math.max(this.now, this.agent.timeout())
      this.agent.handleTimeout(this.now)
      this.#drain()
    }
  }

  #drain(): void {
    const requests: Extract<AgentOutput, { type: 'connect' }>[] = []
    for (let output = this.agent.poll(); output; output = this.agent.poll()) {
      if (output.type === 'connect') requests.push(output)
      if (output.type === 'candidateerror') this.errors.push(output.errorText)
    }
    for (const { local } of requests) {
      this.tried.push(local.ip)
      this.agent.disconnected(this.now, local, 'no way')
      this.#drain()
    }
  }
}

test('over TLS the next local address is tried at once when one leads nowhere, each of them before any rest', () => {
  const dialer = new Dialer()
  dialer.gather([base('10.0.0.1', 0), base('10.1.0.1', 1), base('10.2.0.1', 2)])
  dialer.run(500)
  expect(dialer.tried).toEqual(['10.0.0.1', '10.1.0.1', '10.2.0.1'])
  expect(dialer.errors).toEqual(['TURN server 192.0.2.1:443: no way'])
  expect(dialer.agent.gatheringState).toBe('complete')
  dialer.run(3_000)
  expect(dialer.tried.slice(3, 6)).toEqual(['10.0.0.1', '10.1.0.1', '10.2.0.1'])
})

test('an address that comes later is one more to try, not one more relay', () => {
  const dialer = new Dialer()
  dialer.gather([base('10.0.0.1', 0)])
  dialer.gather([base('10.1.0.1', 1)])
  dialer.run(500)
  expect(dialer.tried).toEqual(['10.0.0.1', '10.1.0.1'])
})

test('over UDP each of two interfaces has a relay of its own', () => {
  const dialer = new Dialer()
  dialer.gather([base('10.0.0.1', 0), base('10.1.0.1', 1), base('10.2.0.1', 2)], { ...SERVER, protocol: 'udp' })
  dialer.run(500)
  expect(dialer.tried).toEqual(['10.0.0.1', '10.1.0.1'])
})
