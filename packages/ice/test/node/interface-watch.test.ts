import { spawnSync } from 'node:child_process'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { parseCandidate } from '../../src/index.ts'
import { type IceCandidateInit, IceTransport } from '../../src/node/index.ts'
import { InterfaceWatch, interfaceWatch, type NetworkChange } from '../../src/node/interface-watch.ts'
import type { System } from '../../src/node/interfaces.ts'
import { connect, connectedPair, openUdpHandles } from './connect.ts'
import { inBareNetwork, inOwnNetwork, runInPrivateNetwork, whyNoPrivateNetwork } from './private-network.ts'

describe('the watch', () => {
  test('tells of addresses, routes and sleep, and of nothing else', () => {
    const { seen, look } = watched()
    look(1_000)
    look(4_900)
    expect(seen).toEqual([])
    look(1_000, machine('10.0.0.2'))
    look(1_000, machine('10.0.0.2', 'wlan0'))
    look(60_000)
    look(1_000, machine())
    expect(seen).toEqual(['addresses', 'routes', 'wake', 'addresses'])
  })

  test('who has woken up elsewhere hears of the addresses, once', () => {
    const { seen, look } = watched()
    look(3_600_000, machine('192.168.7.2', 'wlan0'))
    expect(seen).toEqual(['addresses'])
  })

  test('a failed send looks at once, ten times a second at most, and also when the clock has been set back', async () => {
    const { watch, seen, at, become } = watched()
    become(machine('10.0.0.2'))
    for (const now of [5, 20, 90]) {
      at(now)
      watch.suspect()
    }
    await new Promise(setImmediate)
    expect(seen).toEqual(['addresses'])
    at(-3_600_000)
    become(machine('10.0.0.3'))
    watch.suspect()
    await new Promise(setImmediate)
    expect(seen).toEqual(['addresses', 'addresses'])
  })

  test('a peer that falls silent makes it look, since no send fails when packets leave through another interface', async () => {
    const [a, b] = await connectedPair()
    const suspect = vi.spyOn(interfaceWatch, 'suspect')
    const talk = setInterval(() => a.send(Uint8Array.of(99)), 10)
    try {
      await b.close()
      await expect.poll(() => suspect.mock.calls.length, POLL).toBeGreaterThan(0)
    } finally {
      clearInterval(talk)
      suspect.mockRestore()
      await a.close()
    }
  })

  test('without listeners it neither looks nor keeps a timer', () => {
    vi.useFakeTimers()
    const read = vi.fn(() => machine())
    const watch = new InterfaceWatch({ read, clock: () => 0 })
    const ends = [watch.subscribe(() => {}), watch.subscribe(() => {})]
    vi.advanceTimersByTime(3_000)
    expect(read).toHaveBeenCalledTimes(4)
    for (const end of [...ends, ...ends]) end()
    watch.suspect()
    vi.advanceTimersByTime(10_000)
    expect(read).toHaveBeenCalledTimes(4)
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
  })
})

describe.runIf(inOwnNetwork)('a transport on a network of its own', () => {
  const open: IceTransport[] = []
  afterEach(async () => {
    vi.restoreAllMocks()
    await Promise.all(open.splice(0).map((transport) => transport.close()))
    for (const name of ['wlan0', 'wwan0']) spawnSync('ip', ['link', 'delete', name])
  })

  test('F52 F53 follows interfaces that come and go: candidates are signalled, and taken back as libwebrtc has them', async () => {
    addInterface('wlan0', '10.99.0.1')
    const { a, b, signalled, removed } = await connected(open)
    expect(a.getSelectedCandidatePair()?.local.address.ip).toBe('10.99.0.1')
    addInterface('wwan0', '10.98.0.1')
    await expect.poll(() => signalled.map(ipOf), POLL).toContain('10.98.0.1')
    await expect.poll(() => b.getRemoteCandidates().map(({ address }) => address.ip), POLL).toContain('10.98.0.1')
    ip('link', 'delete', 'wlan0')
    await expect.poll(() => b.getSelectedCandidatePair()?.remote.address.ip, POLL).toBe('10.98.0.1')
    await exchange(a, b)
    // The lines of the candidates, as they were signalled: what OnIceCandidatesRemoved gives, and RemoveIceCandidates takes.
    const gone = signalled.filter((candidate) => ipOf(candidate) === '10.99.0.1')
    expect(gone.length).toBeGreaterThan(0)
    expect(removed).toEqual(gone)
    expect(b.getRemoteCandidates().map(({ address }) => address.ip)).not.toContain('10.99.0.1')
    expect(a.getLocalParameters().usernameFragment).toBe(signalled[0]!.usernameFragment)
  })

  test('a socket whose interface was down is bound again, when the same address comes back', async () => {
    addInterface('wlan0', '10.99.0.1')
    const { a, b, signalled, removed } = await connected(open)
    const before = a.getLocalCandidates()[0]!.address
    ip('link', 'set', 'wlan0', 'down')
    await expect.poll(() => removed.map(ipOf), POLL).toEqual(['10.99.0.1'])
    expect(a.getLocalCandidates()).toEqual([])
    ip('link', 'set', 'wlan0', 'up')
    await expect.poll(() => a.getLocalCandidates().length, POLL).toBe(1)
    const after = a.getLocalCandidates()[0]!.address
    expect(after.ip).toBe(before.ip)
    expect(after.port).not.toBe(before.port)
    expect(parseCandidate(signalled.at(-1)!.candidate!)?.address.port).toBe(after.port)
    await expect.poll(() => b.getSelectedCandidatePair()?.remote.address.port, POLL).toBe(after.port)
    await exchange(a, b)
    await a.close()
    expect(await openUdpHandles()).toBe(1)
  })

  test('after sleep the path in use is asked at once', async () => {
    addInterface('wlan0', '10.99.0.1')
    const { a } = await connected(open)
    const asked = () => a.agentLog.filter(({ event }) => event === 'probe' || event === 'suspect').length
    interfaceWatch.look()
    const before = asked()
    const awake = Date.now()
    vi.spyOn(Date, 'now').mockImplementation(() => awake + 3_600_000)
    interfaceWatch.look()
    expect(a.agentLog.at(-1)).toMatchObject({ event: 'network', reason: 'wake' })
    await expect.poll(asked, POLL).toBe(before + 1)
    expect(['connected', 'completed']).toContain(a.state)
  })
})

const alone = test.skipIf(whyNoPrivateNetwork || inOwnNetwork || inBareNetwork)
alone(`F52 F53 interfaces that come and go ${whyNoPrivateNetwork ?? ''}`.trim(), { timeout: 60_000 }, () => {
  const { status, output } = runInPrivateNetwork(import.meta.filename, 'own')
  expect(status, output).toBe(0)
})

const POLL = { timeout: 5_000, interval: 20 }

/** `a` on wlan0 and wwan0, `b` on eth0; without TCP, so that one address is one candidate. */
async function connected(open: IceTransport[]) {
  const on = (...names: string[]) => ({
    tcp: false,
    interfaceFilter: ({ name, family }: { name: string; family: number }) => names.includes(name) && family === 4,
  })
  const a = new IceTransport({ ...on('wlan0', 'wwan0'), role: 'controlled' })
  const b = new IceTransport({ ...on('eth0'), role: 'controlling' })
  open.push(a, b)
  const [signalled, removed]: [IceCandidateInit[], IceCandidateInit[]] = [[], []]
  a.addEventListener('icecandidate', ({ candidate }) => candidate && signalled.push(candidate))
  a.addEventListener('icecandidatesremoved', ({ candidates }) => {
    removed.push(...candidates)
    b.removeRemoteCandidates(candidates)
  })
  await connect(a, b)
  return { a, b, signalled, removed }
}

/** A packet each way. */
async function exchange(a: IceTransport, b: IceTransport): Promise<void> {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const heard = new Promise<Uint8Array>((resolve) => {
      to.ondata = resolve
    })
    await expect.poll(() => from.send(Uint8Array.of(99)), POLL).toBe(true)
    expect([...(await heard)]).toEqual([99])
  }
}

function ipOf({ candidate }: IceCandidateInit): string | undefined {
  return parseCandidate(candidate ?? '')?.address.ip
}

function watched() {
  let [now, system] = [0, machine('10.0.0.1')]
  const seen: NetworkChange[] = []
  const watch = new InterfaceWatch({ read: () => system, clock: () => now })
  watch.subscribe((change) => seen.push(change))
  return {
    watch,
    seen,
    at: (time: number) => {
      now = time
    },
    become: (next: System) => {
      system = next
    },
    look: (later: number, next = system) => {
      now += later
      system = next
      watch.look()
    },
  }
}

function machine(ip?: string, route = 'eth0'): System {
  const info = { family: 'IPv4', address: ip ?? '', netmask: '', mac: '', internal: false, cidr: null } as const
  return {
    interfaces: ip === undefined ? {} : { eth0: [info] },
    defaultRoutes: { 4: [route], 6: [] },
    temporary: new Set(),
    unusable: new Set(),
  }
}

function addInterface(name: string, address: string): void {
  // Not every kernel has dummy interfaces. The far end has no address, and is nobody's interface to send from.
  ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}-far`)
  ip('link', 'set', `${name}-far`, 'up')
  ip('address', 'add', `${address}/24`, 'dev', name)
  ip('link', 'set', name, 'up')
}

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}
