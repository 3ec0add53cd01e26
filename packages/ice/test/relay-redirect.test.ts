import { type Attributes, decode, encode } from '@floe/stun'
import { expect, test } from 'vitest'
import { type AgentOutput, IceAgent, type TurnServer } from '../src/index.ts'
import { seeded } from './wire.ts'

type Connect = Extract<AgentOutput, { type: 'connect' }>

const SERVER: TurnServer = {
  scheme: 'turn',
  protocol: 'tls',
  address: { ip: '192.0.2.1', port: 443 },
  url: 'turns:turn.example:443?transport=tcp',
  hostname: 'turn.example',
  username: 'u',
  credential: 'p',
}

/** The connections that the agent asks for, when each server answers the first request on its connection with this. */
function connections(answers: readonly Attributes[]): Connect[] {
  const agent = new IceAgent({ random: seeded(1) })
  const asked: Connect[] = []
  agent.gather(0, [{ address: { ip: '192.0.2.7', port: 0 }, relayOnly: true }], [SERVER])
  for (let output = agent.poll(); output; output = agent.poll()) {
    if (output.type === 'connect') {
      asked.push(output)
      agent.connected(0, output.local)
    }
    if (output.type !== 'packet') continue
    const { local, remote, protocol, bytes } = output.packet
    const attributes = answers[asked.length - 1]
    if (!attributes) continue
    const { method, transactionId } = decode(bytes)!
    const refusal = { errorCode: { code: 300, reason: 'Try Alternate' }, ...attributes }
    const answer = encode({ method, class: 'error', transactionId, attributes: refusal })
    agent.handlePacket(0, { protocol, local, remote, bytes: answer })
  }
  return asked
}

const to = (last: number) => ({ alternateServer: { ip: `192.0.2.${last}`, port: 443 } })

test('I73 the certificate of the next server must bear the name in ALTERNATE-DOMAIN, RFC 8489 §10, and TLS stays TLS', () => {
  const asked = connections([{ ...to(2), alternateDomain: 'second.example' }])
  expect(asked.map(({ remote, protocol, server }) => [remote.ip, protocol, server?.hostname])).toEqual([
    ['192.0.2.1', 'tls', 'turn.example'],
    ['192.0.2.2', 'tls', 'second.example'],
  ])
})

test('I73 without it the name stays: whoever redirects cannot choose a certificate that way', () => {
  const asked = connections([to(2), { ...to(3), alternateDomain: 'third.example' }, to(4)])
  expect(asked.map(({ remote, server }) => [remote.ip, server?.hostname])).toEqual([
    ['192.0.2.1', 'turn.example'],
    ['192.0.2.2', 'turn.example'],
    ['192.0.2.3', 'third.example'],
    ['192.0.2.4', 'third.example'],
  ])
  expect(asked.map(({ server }) => server?.url)).toEqual(Array(4).fill(SERVER.url))
})
