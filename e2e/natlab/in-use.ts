/** What carries the data, by the kernel's own counters: nobody has to believe what a peer says of itself. */
import type { Internet } from './internet.ts'

/** Time in which packets are counted, milliseconds. */
const COUNTED = 400

/** The number of the address of this host whose interface carries most packets. */
export async function interfaceInUse(internet: Internet, host: string): Promise<number> {
  const { attachments } = internet.host(host)
  return await busiest(async () => {
    const devices = await internet.run(host, 'cat /proc/net/dev')
    return attachments.map(({ device }) => packetsOf(devices, device))
  })
}

/** The number of the address, among these of the servers, that most packets come to. Call `countPackets()` before. */
export async function serverInUse(internet: Internet, addresses: readonly string[]): Promise<number> {
  return await busiest(async () => {
    const counters = await internet.run('servers', 'nft list counters')
    return addresses.map((_, i) => Number(new RegExp(`counter c${i} \\{\\s*packets (\\d+)`).exec(counters)?.[1] ?? 0))
  })
}

/** Counts what comes to these addresses of the servers from now on. */
export async function countPackets(internet: Internet, addresses: readonly string[]): Promise<void> {
  const counters = addresses.map((_, i) => `counter c${i} { }`)
  const rules = addresses.map((address, i) => `ip daddr ${address} counter name c${i}`)
  const chain = ['chain in {', 'type filter hook prerouting priority -300', ...rules, '}']
  await internet.run('servers', `nft -f - <<'end'\ntable ip traffic {\n${[...counters, ...chain].join('\n')}\n}\nend`)
}

async function busiest(count: () => Promise<readonly number[]>): Promise<number> {
  const before = await count()
  await new Promise((resolve) => setTimeout(resolve, COUNTED))
  const packets = (await count()).map((now, i) => now - before[i]!)
  return packets.indexOf(Math.max(...packets))
}

/** Received and sent, from proc(5)'s /proc/net/dev. */
function packetsOf(devices: string, device: string): number {
  const [, line = ''] = new RegExp(`^\\s*${device}:\\s*(.*)`, 'm').exec(devices) ?? []
  const fields = line.split(/\s+/)
  return Number(fields[1] ?? 0) + Number(fields[9] ?? 0)
}
