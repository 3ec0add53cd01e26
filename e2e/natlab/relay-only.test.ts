/** `iceTransportPolicy: 'relay'` as a promise: the host's own kernel counts what leaves, and lists what is open. */
import { expect, test } from 'vitest'
import { startCoturn } from '../coturn/coturn.ts'
import type { Signal } from '../peer/test-peer.ts'
import { NAT_TYPES } from '../topology/nat-types.ts'
import { Internet } from './internet.ts'
import { inNamespace, whyNot } from './namespaces.ts'
import { startPeer } from './peer.ts'
import { SERVER_ADDRESSES } from './plan.ts'
import { join } from './signaling.ts'

const reason = whyNot()
const [SERVER] = SERVER_ADDRESSES

test.skipIf(reason)(
  `K90 relay only: no packet but to the TURN server, no other socket, no address told${reason ? ` (left out: ${reason})` : ''}`,
  async () => {
    await using internet = await Internet.build({
      hosts: { hidden: [{}, { family: 6 }], open: NAT_TYPES['eim-apdf'].placements },
      latency: 5,
    })
    await using coturn = await startCoturn({
      ips: [SERVER],
      port: 3478,
      within: inNamespace(internet.namespace('servers'), []),
    })
    await count(internet)
    const { username, credential } = coturn
    const turn = { urls: coturn.url(), username, credential }
    const stun = { urls: [`stun:${SERVER}:3478`, 'stun:stun.floe.test'] }
    const more = { ice: { mdns: { publish: true } } } // Names that nobody may ask the network about.
    const hidden = await startPeer(internet, 'hidden', 'node', {
      iceServers: [stun, turn],
      iceTransportPolicy: 'relay',
    })
    const open = await startPeer(internet, 'open', 'node', { iceServers: [turn], ...more } as RTCConfiguration)
    const told: Signal[] = []
    const { broken } = join(hidden.endpoint, open.endpoint)
    const { onsignal } = hidden.endpoint
    hidden.endpoint.onsignal = (signal) => {
      told.push(signal)
      onsignal(signal)
    }
    const opened = hidden.endpoint.offer().then(() => Promise.all([hidden.endpoint.opened(), open.endpoint.opened()]))
    await Promise.race([broken, opened])
    await hidden.endpoint.ping('hello')

    const { all, expected } = await counted(internet)
    expect(expected).toBeGreaterThan(20)
    expect(all).toBe(expected)
    const sockets = (await internet.run('hidden', 'ss -Huan; ss -Htan')).trim().split('\n')
    expect(sockets.filter((line) => !line.includes(` ${SERVER}:3478`))).toEqual([])
    const own = internet.host('hidden').attachments.map(({ address }) => address)
    const text = JSON.stringify(told)
    expect(own.filter((address) => text.includes(address))).toEqual([])
    const candidates = told.flatMap((signal) => ('candidate' in signal ? [signal.candidate.candidate!] : []))
    expect(candidates).not.toEqual([])
    for (const candidate of candidates) expect(candidate).toMatch(/ typ relay raddr 0\.0\.0\.0 rport 9 |^$/)
    expect((await hidden.endpoint.status()).selectedPair).toMatchObject({ local: 'relay' })
  },
)

test.skipIf(reason)(
  `a way to the TURN server that is gone for a moment costs no allocation${reason ? ` (left out: ${reason})` : ''}`,
  async () => {
    await using internet = await Internet.build({
      hosts: { near: [{}], far: NAT_TYPES['eim-apdf'].placements },
      latency: 5,
    })
    await using coturn = await startCoturn({
      ips: [SERVER],
      port: 3478,
      within: inNamespace(internet.namespace('servers'), []),
    })
    const { username, credential } = coturn
    const configuration: RTCConfiguration = {
      iceServers: [{ urls: coturn.url(), username, credential }],
      iceTransportPolicy: 'relay',
    }
    const [near, far] = await Promise.all([
      startPeer(internet, 'near', 'node', configuration),
      startPeer(internet, 'far', 'node', configuration),
    ])
    const { broken } = join(near.endpoint, far.endpoint)
    const opened = near.endpoint.offer().then(() => Promise.all([near.endpoint.opened(), far.endpoint.opened()]))
    await Promise.race([broken, opened])
    await near.endpoint.beat(20)
    const allocations = () => coturn.log.match(/ALLOCATE processed, success/g)!.length
    const before = allocations()
    await internet.run('near', `ip route add unreachable ${SERVER}; sleep 4; ip route del unreachable ${SERVER}`)
    await near.endpoint.ping('hello')
    await near.endpoint.ping('and again')
    expect(allocations()).toBe(before)
  },
)

/** All packets that leave the host, but the kernel's own neighbour discovery. */
async function count(internet: Internet): Promise<void> {
  const rules = `table inet evidence {
  counter everything { }
  counter expected { }
  chain leaving {
    type filter hook output priority 10
    oifname "lo" accept
    meta l4proto ipv6-icmp accept
    counter name everything
    ip daddr ${SERVER} udp dport 3478 counter name expected
  }
}`
  await internet.run('hidden', `nft -f - <<'end'\n${rules}\nend`)
}

async function counted(internet: Internet): Promise<{ all: number; expected: number }> {
  const text = await internet.run('hidden', 'nft list counters table inet evidence')
  const packets = (name: string) => Number(new RegExp(`${name} {\\s+packets (\\d+)`).exec(text)![1])
  return { all: packets('everything'), expected: packets('expected') }
}
