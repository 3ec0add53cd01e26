import type { ChildProcess } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { decode, encode } from '@floe/stun'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { discoverBehavior, NatError } from '../../src/node/index.ts'
import { at, HOST, homeName, INTERNET, runAtHome, spawnAt, WAN, whyNoHome } from './home.ts'

const SERVERS = [`stun:${INTERNET[0]}`]

describe.runIf(homeName)('behind a kernel NAT, with coturn', { timeout: 30_000 }, () => {
  let coturn: ChildProcess
  beforeAll(async () => {
    const addresses = INTERNET.flatMap((ip) => ['-L', ip])
    coturn = spawnAt(
      'internet',
      ...['turnserver', '-n', ...addresses, '-z', '-l', 'stdout', '--no-tls', '--no-dtls', '--no-cli'],
      ...['--pidfile', '/dev/null', '--no-tcp', '--realm', 'x'],
    )
    let log = ''
    await new Promise<void>((resolve, reject) => {
      coturn.stdout?.on('data', (text) => {
        log += text
        if (/Total General servers/.test(log)) resolve()
      })
      coturn.on('exit', () => reject(new Error(log)))
    })
  })
  afterAll(async () => {
    coturn.removeAllListeners('exit')
    coturn.kill('SIGKILL')
    await once(coturn, 'exit')
  })

  test('masquerade, as home routers do: ports preserved, filtering by address and port', async () => {
    translate('masquerade')
    const { ipv4, ipv6 } = await discoverBehavior({ servers: SERVERS })
    expect(ipv6).toBeUndefined()
    expect(ipv4).toMatchObject({
      reachable: true,
      translated: true,
      mapping: 'endpoint-independent',
      filtering: 'address-and-port-dependent',
      hairpinning: 'none',
      pooling: 'paired',
      allocation: { kind: 'preserving' },
      carrierGrade: false,
    })
    expect(ipv4?.local.ip).toBe(HOST[4])
    expect(ipv4?.mapped?.ip).toBe(WAN)
    expect(ipv4?.layers).toBeUndefined()
  })

  test('another port for everybody: mapping by address and port', async () => {
    translate('meta l4proto udp masquerade fully-random')
    const { ipv4 } = await discoverBehavior({ servers: SERVERS, gatewayExternalIp: WAN })
    expect(ipv4).toMatchObject({
      mapping: 'address-and-port-dependent',
      filtering: 'address-and-port-dependent',
      allocation: { kind: 'random' },
      layers: 1,
    })
  })

  test('a carrier’s block of ports', async () => {
    translate('meta l4proto udp masquerade to :20000-20511 fully-random')
    const { ipv4 } = await discoverBehavior({ servers: SERVERS, gatewayExternalIp: '100.64.0.9' })
    expect(ipv4).toMatchObject({
      mapping: 'address-and-port-dependent',
      allocation: { kind: 'block' },
      layers: 2,
      carrierGrade: true,
    })
    expect(ipv4?.allocation?.low).toBeGreaterThanOrEqual(20_000)
    expect(ipv4?.allocation?.high).toBeLessThanOrEqual(20_511)
  })

  test('whoever knows the port gets in, from inside too: filtering endpoint-independent, hairpinning', async () => {
    translate('masquerade', FULL_CONE)
    const { ipv4 } = await discoverBehavior({ servers: SERVERS })
    expect(ipv4).toMatchObject({
      mapping: 'endpoint-independent',
      filtering: 'endpoint-independent',
      hairpinning: 'external',
    })
  })
})

describe('on loopback', () => {
  test('two servers, no NAT', async () => {
    await using a = await listen()
    await using b = await listen()
    const { ipv4 } = await discoverBehavior({ servers: [`stun:127.0.0.1:${a.port}`, `stun:localhost:${b.port}`] })
    expect(ipv4).toMatchObject({ reachable: true, translated: false, layers: 0, allocation: { kind: 'preserving' } })
    expect(ipv4?.servers.every(({ roundTripTime }) => roundTripTime! < 1_000)).toBe(true)
  })

  test('aborting rejects with the reason, at once', async () => {
    await using silent = await listen(false)
    const start = performance.now()
    const pending = discoverBehavior({ servers: [`stun:127.0.0.1:${silent.port}`], signal: AbortSignal.timeout(50) })
    await expect(pending).rejects.toMatchObject({ name: 'TimeoutError' })
    expect(performance.now() - start).toBeLessThan(1_000)
    const aborted = discoverBehavior({ servers: [`stun:127.0.0.1:${silent.port}`], signal: AbortSignal.abort('no') })
    await expect(aborted).rejects.toBe('no')
  })

  test('a server that is silent: not reachable', async () => {
    await using silent = await listen(false)
    const { ipv4 } = await discoverBehavior({ servers: [`stun:127.0.0.1:${silent.port}`] })
    expect(ipv4).toMatchObject({ reachable: false, mapping: 'unknown' })
  })

  test('what is no STUN URI throws', async () => {
    for (const server of ['stun.example.org', 'turn:stun.example.org', 'stuns:stun.example.org', '']) {
      await expect(discoverBehavior({ servers: [server] })).rejects.toThrow(NatError)
    }
  })
})

if (!homeName) {
  const why = whyNoHome('turnserver')
  test.skipIf(why)(`behind a kernel NAT, with coturn ${why ?? ''}`.trim(), { timeout: 100_000 }, () => {
    const { status, output } = runAtHome(import.meta.filename, 90_000)
    expect(status, output).toBe(0)
  })
}

/** Who sent from a port last is who gets its packets, from anywhere. Hairpinned packets get the external source. */
const FULL_CONE = `
table ip cone {
  map ports { type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout 120s; size 1024; }
  chain learn { type filter hook forward priority -10;
    oifname "wan" meta l4proto udp update @ports { udp sport timeout 120s : ip saddr . udp sport }; }
  chain pre { type nat hook prerouting priority -90; ip daddr ${WAN} meta l4proto udp dnat ip to udp dport map @ports; }
  chain post { type nat hook postrouting priority 90; ip saddr 192.168.1.0/24 oifname "lan" ct status dnat snat to ${WAN}; }
}
table inet filter { chain forward { ct status dnat accept; }; }`

/** Makes the router translate this way, and forget everything it did before. */
function translate(rule: string, more = ''): void {
  at('router', 'nft', 'flush chain inet filter postrouting; flush chain inet filter forward')
  at('router', 'nft', `add rule inet filter postrouting oifname "wan" meta nfproto ipv4 ${rule}`)
  if (more) at('router', 'nft', more)
  at('router', 'nft', 'add rule inet filter forward ct state established,related accept')
  at('router', 'nft', 'add rule inet filter forward iifname "wan" drop')
  at('router', 'conntrack', '-F')
}

async function listen(answering = true) {
  const socket = createSocket('udp4')
  socket.on('message', (bytes, { address: ip, port }) => {
    const request = decode(bytes)
    if (!answering || request === undefined) return
    const { transactionId } = request
    const attributes = { xorMappedAddress: { ip, port } }
    socket.send(encode({ method: 'binding', class: 'success', transactionId, attributes }), port, ip)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return { port: socket.address().port, [Symbol.asyncDispose]: async () => void socket.close() }
}
