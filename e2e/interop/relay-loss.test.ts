/** A TURN server is killed while data flows through it. */
import type { IceTransportOptions } from '@floe/ice/node'
import { RTCPeerConnection } from '@floe/webrtc'
import { expect, test } from 'vitest'
import { type Coturn, startCoturn } from '../coturn/coturn.ts'
import { type Endpoint, establish, link, localEndpoint, transfer } from '../peer/endpoint.ts'
import type { TestPeer } from '../peer/test-peer.ts'

const MEGABYTE = 1_000_000

function configuration(
  servers: readonly Coturn[],
  scheme: 'turn' | 'turns',
  transport: 'udp' | 'tcp',
): RTCConfiguration {
  const ice: IceTransportOptions = {
    tls: { ca: servers.map(({ ca }) => ca!) },
    includeLoopback: true,
    interfaceFilter: ({ ip }) => ip === '127.0.0.1',
  }
  const iceServers = servers.map((server) => ({
    urls: server.url(scheme, transport),
    username: server.username,
    credential: server.credential,
  }))
  return { iceServers, iceTransportPolicy: 'relay', ice } as RTCConfiguration
}

/** What the sender's path is: the URL of its relay, and what has gone over it so far. */
async function pathOf({ connection }: TestPeer): Promise<{ url: string; bytesSent: number }> {
  const stats = await connection.getStats()
  const transport = [...stats.values()].find(({ type }) => type === 'transport')
  const pair = stats.get(transport.selectedCandidatePairId)
  return { url: stats.get(pair.localCandidateId).url, bytesSent: pair.bytesSent }
}

test.each([
  ['turn', 'udp'],
  ['turns', 'tcp'],
] as const)(
  '%s over %s: coturn is killed with -9 in the middle of 40 MB, which arrive over the second one, checksum equal',
  async (scheme, transport) => {
    await using first = await startCoturn({ tls: true })
    await using second = await startCoturn({ tls: true })
    const common = configuration([first, second], scheme, transport)
    const end = () => localEndpoint(RTCPeerConnection, { configuration: common }) as Endpoint & TestPeer
    const [sender, receiver] = [end(), end()]
    try {
      await establish(sender, link(sender, receiver), receiver)
      const { usernameFragments } = await sender.status()
      const done = transfer(sender, receiver, 40 * MEGABYTE)
      const sentSoFar = async () => (await pathOf(sender)).bytesSent
      await expect.poll(sentSoFar, { interval: 20, timeout: 10_000 }).toBeGreaterThan(8 * MEGABYTE)
      const { url } = await pathOf(sender)
      await (url === first.url(scheme, transport) ? first : second).kill('SIGKILL')
      const [sent, received] = await done
      expect(received).toBe(sent)
      const after = await sender.status()
      expect(after.history).not.toContain('connection failed')
      expect(after.usernameFragments).toEqual(usernameFragments) // no ICE restart
      expect((await pathOf(sender)).url).not.toBe(url)
    } finally {
      await Promise.all([sender.close(), receiver.close()])
    }
  },
  40_000,
)
