import type { ChildProcess } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { decode, encode, newTransactionId } from '@floe/stun'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { translatorOf } from '../../src/node/find-translator.ts'
import { discoverNat64, extract, parsePrefix, synthesize, WELL_KNOWN_PREFIX } from '../../src/node/index.ts'
import { random } from '../../src/node/random.ts'
import { at, HOST, homeName, INTERNET, runAtHome, spawnAt, whyNoHome } from './home.ts'

const PREFIX = '2001:db8:64::'
const RESOLVER = '2001:db8:1::1'

describe.runIf(homeName)('behind tayga and unbound', { timeout: 30_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'floe-nat64-'))
  const daemons: ChildProcess[] = []
  beforeAll(async () => {
    const start = (place: 'router' | 'internet', ...command: string[]) => {
      const daemon = spawnAt(place, ...command)
      daemons.push(daemon)
      return daemon
    }
    const tayga = write('tayga.conf', TAYGA(folder))
    at('router', 'tayga', '--mktun', '-c', tayga)
    at('router', 'sh', '-ec', WIRE)
    start('router', 'tayga', '-d', '-c', tayga)
    write(
      'zone',
      'ipv4only.arpa. 3600 IN SOA a. b. 1 1 1 1 1\nipv4only.arpa. 300 IN A 192.0.0.170\nipv4only.arpa. 300 IN A 192.0.0.171\n',
    )
    start('router', 'unbound', '-d', '-c', write('unbound.conf', UNBOUND(folder)))
    start(
      'internet',
      'turnserver',
      '-n',
      '-L',
      INTERNET[0],
      '-z',
      '-l',
      'stdout',
      '--no-tls',
      '--no-dtls',
      '--no-cli',
      '--no-tcp',
      '--pidfile',
      '/dev/null',
      '--realm',
      'x',
    )
    for (let tries = 0; tries < 50; tries++) {
      const { confirmed } = await discoverNat64({ dnsServers: [RESOLVER] })
      if (confirmed) return
      await sleep(100)
    }
    throw new Error('unbound does not answer')
  })
  afterAll(async () => {
    for (const daemon of daemons) {
      if (daemon.exitCode !== null) continue
      daemon.kill('SIGKILL')
      await once(daemon, 'exit')
    }
    rmSync(folder, { recursive: true, force: true })
  })

  test('the prefix is found by DNS, and an IPv4 server is reached through it, which sees an IPv4 address', async () => {
    const { prefixes, confirmed, lifetime, clat } = await discoverNat64({ dnsServers: [RESOLVER] })
    expect(prefixes).toEqual([{ ip: PREFIX, length: 96 }])
    expect({ confirmed, clat }).toEqual({ confirmed: true, clat: false })
    expect(lifetime).toBeGreaterThanOrEqual(30_000)
    expect(lifetime).toBeLessThanOrEqual(300_000)
    const { from, mapped } = await askStun(synthesize(prefixes[0]!, INTERNET[0])!)
    expect(extract(prefixes[0]!, from)).toBe(INTERNET[0])
    expect(mapped).toBe('11.22.33.2')
  })

  function write(name: string, text: string): string {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
})

test('several translators: the one that was chosen, or the next that has a place for the address', () => {
  const prefixes = [WELL_KNOWN_PREFIX, parsePrefix('2001:db8:64::/96')!]
  const translator = translatorOf(prefixes)!
  expect(translator.count).toBe(2)
  expect([0, 1, 2].map((choice) => translator.toIpv6('11.22.33.2', choice))).toEqual([
    '64:ff9b::b16:2102',
    '2001:db8:64::b16:2102',
    '64:ff9b::b16:2102',
  ])
  // The well-known prefix has none for private ones (RFC 6052 §3.1).
  expect(translator.toIpv6('192.168.1.2')).toBe('2001:db8:64::c0a8:102')
  expect(translator.toIpv4('2001:db8:64::c0a8:102')).toBe('192.168.1.2')
  expect(translatorOf([WELL_KNOWN_PREFIX])?.toIpv6('192.168.1.2')).toBeUndefined()
  expect(translatorOf([])).toBeUndefined()
})

describe('without DNS64', () => {
  test.each([
    [0, 'no such record'],
    [3, 'no such name'],
  ])('DNS answers %i, %s: there is none', async (code) => {
    const server = createSocket('udp4').bind(0, '127.0.0.1')
    server.on('message', (bytes, { port, address }) => {
      bytes.set([0x81, 0x80 + code], 2) // The question as an answer without records.
      server.send(bytes, port, address)
    })
    await once(server, 'listening')
    const found = await discoverNat64({ dnsServers: [`127.0.0.1:${server.address().port}`] })
    expect(found).toMatchObject({ prefixes: [], confirmed: true })
    server.close()
  })

  test('nobody answers: the well-known prefix as a guess, within two seconds', async () => {
    const silent = createSocket('udp4').bind(0, '127.0.0.1')
    await once(silent, 'listening')
    const start = performance.now()
    const found = await discoverNat64({ dnsServers: [`127.0.0.1:${silent.address().port}`] })
    expect(found).toEqual({ prefixes: [WELL_KNOWN_PREFIX], confirmed: false, lifetime: 30_000, clat: false })
    expect(performance.now() - start).toBeLessThan(4_000)
    silent.close()
  })

  test('aborting rejects with the reason', async () => {
    const silent = createSocket('udp4').bind(0, '127.0.0.1')
    await once(silent, 'listening')
    const dnsServers = [`127.0.0.1:${silent.address().port}`]
    await expect(discoverNat64({ dnsServers, signal: AbortSignal.timeout(50) })).rejects.toMatchObject({
      name: 'TimeoutError',
    })
    await expect(discoverNat64({ dnsServers, signal: AbortSignal.abort('no') })).rejects.toBe('no')
    silent.close()
  })
})

if (!homeName) {
  const why = whyNoHome('tayga', 'unbound', 'turnserver')
  test.skipIf(why)(`behind tayga and unbound ${why ?? ''}`.trim(), { timeout: 60_000 }, () => {
    const { status, output } = runAtHome(import.meta.filename, 50_000)
    expect(status, output).toBe(0)
  })
}

/** A Binding request from the host's IPv6 socket: where the answer comes from, and whom the server saw. */
async function askStun(ip: string): Promise<{ from: string; mapped: string | undefined }> {
  const socket = createSocket('udp6').bind(0, HOST[6])
  await once(socket, 'listening')
  const request = encode({
    method: 'binding',
    class: 'request',
    transactionId: newTransactionId(random),
    attributes: {},
  })
  const timer = setInterval(() => socket.send(request, 3478, ip), 100)
  const [bytes, { address }] = await once(socket, 'message', { signal: AbortSignal.timeout(10_000) })
  clearInterval(timer)
  socket.close()
  return { from: address, mapped: decode(bytes)?.attributes.xorMappedAddress?.ip }
}

const TAYGA = (folder: string) => `tun-device nat64
ipv4-addr 192.168.255.1
prefix ${PREFIX}/96
dynamic-pool 192.168.255.0/24
data-dir ${folder}
`

const WIRE = `
ip link set nat64 up
ip address add 192.168.255.254 dev nat64
ip address add 2001:db8:ff::1 dev nat64 nodad
ip route add 192.168.255.0/24 dev nat64
ip route add ${PREFIX}/96 dev nat64
`

const UNBOUND = (folder: string) => `server:
  username: ""
  chroot: ""
  directory: "${folder}"
  pidfile: "${folder}/unbound.pid"
  use-syslog: no
  do-daemonize: no
  do-ip4: no
  interface: ${RESOLVER}
  access-control: ::/0 allow
  module-config: "dns64 iterator"
  dns64-prefix: ${PREFIX}/96
  local-zone: "ipv4only.arpa." transparent
auth-zone:
  name: "ipv4only.arpa."
  zonefile: "${folder}/zone"
  for-downstream: no
  for-upstream: yes
remote-control:
  control-enable: no
`
