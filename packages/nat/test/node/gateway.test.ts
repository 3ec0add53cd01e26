import { expect, test } from 'vitest'
import { parseRoutes4, parseRoutes6 } from '../../src/node/gateway.ts'

/** As Linux prints them on a little-endian machine. */
const ROUTE = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
wlan0	00000000	0102A8C0	0003	0	0	600	00000000	0	0	0
eth0	00000000	0101A8C0	0003	0	0	100	00000000	0	0	0
eth0	0001A8C0	00000000	0001	0	0	100	00FFFFFF	0	0	0
ppp0	00000000	00000000	0001	0	0	50	00000000	0	0	0
eth1	00000000	010000EF	0002	0	0	10	00000000	0	0	0
eth2	00000000	XYZ	0003	0	0	10	00000000	0	0	0
`

const IPV6_ROUTE = `20010db8000100000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000003c2ed7fffef11dad 00000400 00000001 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8000200000000000000000001 00000100 00000001 00000000 00000003     eth1
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
`

test('default routes through a gateway that are up, by metric', () => {
  expect(parseRoutes4(ROUTE)).toEqual([
    { interface: 'eth0', gateway: '192.168.1.1', metric: 100 },
    { interface: 'wlan0', gateway: '192.168.2.1', metric: 600 },
  ])
  expect(parseRoutes6(IPV6_ROUTE)).toEqual([
    { interface: 'eth1', gateway: '2001:db8:2::1', metric: 256 },
    { interface: 'eth0', gateway: 'fe80::3c2e:d7ff:fef1:1dad%eth0', metric: 1024 },
  ])
})

test('what is no table has none', () => {
  for (const text of ['', '\n', 'garbage\nmore garbage', ROUTE.slice(0, 90)]) {
    expect(parseRoutes4(text)).toEqual([])
    expect(parseRoutes6(text)).toEqual([])
  }
})
