import type { NetworkInterfaceInfo } from 'node:os'
import { describe, expect, test } from 'vitest'
import {
  hostAddresses,
  parseAddressFlags,
  parseRoutes,
  parseRoutes6,
  readSystem,
  type System,
} from '../../src/node/interfaces.ts'

describe('hostAddresses', () => {
  test('the default-route interface comes first, containers, VPNs and waiting-for-DHCP addresses last', () => {
    const system = machine({
      docker0: ['172.17.0.1'],
      eth1: ['192.168.7.2', '169.254.3.4'],
      tun0: ['10.8.0.2'],
      'br-1f2e3d': ['172.18.0.1'],
      eth0: ['192.168.1.5'],
    })
    expect(ips(system)).toEqual(['192.168.1.5', '192.168.7.2', '10.8.0.2', '172.17.0.1', '172.18.0.1', '169.254.3.4'])
  })

  test('a bridge that carries the default route is the best interface, not a container network', () => {
    const system = machine({ eth1: ['192.168.7.2'], 'br-lan': ['192.168.1.5'] }, ['br-lan'])
    expect(ips(system)).toEqual(['192.168.1.5', '192.168.7.2'])
  })

  test('L94 no more than ten addresses, and never more than two of container networks', () => {
    const many: Record<string, string[]> = { eth0: ['192.168.1.5'] }
    for (let i = 0; i < 12; i++) many[`docker${i}`] = [`172.17.${i}.1`]
    expect(ips(machine(many))).toEqual(['192.168.1.5', '172.17.0.1', '172.17.1.1'])
    for (let i = 1; i < 20; i++) many[`eth${i}`] = [`192.168.${i}.5`]
    expect(ips(machine(many))).toHaveLength(10)
    expect(ips(machine(many))[0]).toBe('192.168.1.5')
  })

  test('L94 at most three IPv6 addresses of an interface: temporary, then stable, then link-local', () => {
    const eth0 = ['2001:db8::1', '2001:db8::2', 'fe80::1', '2001:db8::3', '192.0.2.1', '2001:db8::dead']
    const system = {
      ...machine({ eth0 }),
      ...parseAddressFlags(
        [flagLine('20010db8', 2, 0x01), flagLine('20010db8', 3, 0x00), flagLine('20010db8', 0xdead, 0x21)].join('\n'),
      ),
    }
    expect(ips(system)).toEqual(['2001:db8::2', '192.0.2.1', '2001:db8::1', '2001:db8::3'])
    expect(hostAddresses({}, system)[0]).toMatchObject({ temporary: true, defaultRoute: true, family: 6 })
  })

  test('link-local IPv6 carries its scope id', () => {
    expect(ips(machine({ eth0: ['fe80::1'] }))).toEqual(['fe80::1%eth0'])
  })

  test('L94 loopback only when there is nothing else, or on request and last', () => {
    const loopback = { lo: ['127.0.0.1', '::1'] }
    expect(ips(machine(loopback))).toEqual(['127.0.0.1', '::1'])
    const both = machine({ ...loopback, eth0: ['192.0.2.1'] })
    expect(ips(both)).toEqual(['192.0.2.1'])
    expect(hostAddresses({ includeLoopback: true }, both).map(({ ip }) => ip)).toEqual([
      '192.0.2.1',
      '127.0.0.1',
      '::1',
    ])
    expect(ips(machine({}))).toEqual([])
  })

  test('the filter sees name, kind and address, and has the last word', () => {
    const system = machine({ lo: ['127.0.0.1'], eth0: ['192.0.2.1'], docker0: ['172.17.0.1'] })
    const seen: string[] = []
    const filter = ({ name, kind, ip }: { name: string; kind: string; ip: string }) => {
      seen.push(`${name} ${kind} ${ip}`)
      return name === 'docker0'
    }
    expect(hostAddresses({ filter }, system).map(({ ip }) => ip)).toEqual(['172.17.0.1'])
    expect(seen).toEqual(['lo loopback 127.0.0.1', 'eth0 ordinary 192.0.2.1', 'docker0 virtual 172.17.0.1'])
  })

  test('L94 what this machine has can be read', () => {
    const system = readSystem()
    for (const { ip, name } of hostAddresses({ includeLoopback: true }, system)) {
      expect(system.interfaces[name]?.some(({ address }) => ip === address || ip.startsWith(`${address}%`))).toBe(true)
    }
  })
})

describe('routing tables', () => {
  test('IPv4 default routes by metric; routes that are down or to a network do not count', () => {
    const table = [
      'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
      'wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0',
      'eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0',
      'eth1\t00000000\t010200C0\t0002\t0\t0\t50\t00000000\t0\t0\t0',
      'eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
    ].join('\n')
    expect(parseRoutes(table)).toEqual(['eth0', 'wlan0'])
    expect(parseRoutes('')).toEqual([])
  })

  test('IPv6 default routes by metric; the kernel’s reject route is none', () => {
    const zero = '0'.repeat(32)
    const table = [
      `${zero} 00 ${zero} 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0`,
      `${zero} 00 ${zero} 00 fe800000000000000000000000000001 00000064 00000002 00000000 00000003    wlan0`,
      `${zero} 00 ${zero} 00 ${zero} ffffffff 00000001 00000000 00200200       lo`,
      `fd${zero.slice(2)} 40 ${zero} 00 ${zero} 00000100 00000001 00000000 00000001     eth1`,
    ].join('\n')
    expect(parseRoutes6(table)).toEqual(['wlan0', 'eth0'])
  })
})

function ips(system: System): string[] {
  return hostAddresses({}, system).map(({ ip }) => ip)
}

function machine(addresses: Record<string, string[]>, defaultRoutes = ['eth0']): System {
  const interfaces: NodeJS.Dict<NetworkInterfaceInfo[]> = {}
  for (const [name, list] of Object.entries(addresses)) interfaces[name] = list.map((ip) => info(name, ip))
  return {
    interfaces,
    defaultRoutes: { 4: defaultRoutes, 6: defaultRoutes },
    temporary: new Set(),
    unusable: new Set(),
  }
}

function info(name: string, address: string): NetworkInterfaceInfo {
  const shared = { address, netmask: '', mac: '', internal: name === 'lo', cidr: null }
  return address.includes(':') ? { ...shared, family: 'IPv6', scopeid: 2 } : { ...shared, family: 'IPv4' }
}

function flagLine(prefix: string, last: number, flags: number): string {
  const hex = prefix + last.toString(16).padStart(32 - prefix.length, '0')
  return `${hex} 02 40 00 ${flags.toString(16).padStart(2, '0')}     eth0`
}
