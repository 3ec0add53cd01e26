/** What makes a router's IPv6 hosts reach IPv4: tayga translates, unbound tells the addresses (RFC 6146, RFC 6147). */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inNamespace, runFolder } from './namespaces.ts'
import { SERVER_ADDRESSES } from './plan.ts'

/** Tayga 0.9.2 refuses the well-known 64:ff9b::/96 for documentation addresses. Hosts learn it by RFC 7050. */
const PREFIX = '2001:db8:64:64::'

/** The name of the STUN server's IPv4 address, for hosts that know names only. */
export const STUN_NAME = 'stun.natlab.test'

/** RFC 7050 §8.2. */
const WELL_KNOWN = ['192.0.0.170', '192.0.0.171'] as const

/** IPv4 addresses of translated hosts, between tayga and the NAT. */
const POOL = '192.168.255'

/** What this needs of the internet that it becomes a part of. */
export interface Surroundings {
  namespace(name: string): string
  run(name: string, script: string): Promise<unknown>
  /** Ends the process with everything else. */
  adopt(child: ChildProcess): unknown
}

/** `inside`: the router's own IPv6 address there. */
export async function startNat64(internet: Surroundings, router: string, inside: string): Promise<void> {
  const folder = join(runFolder(), internet.namespace(router))
  mkdirSync(folder, { recursive: true })
  const file = (name: string, lines: readonly string[]) => {
    writeFileSync(join(folder, name), `${lines.join('\n')}\n`)
    return join(folder, name)
  }
  const tayga = file('tayga.conf', [
    'tun-device nat64',
    `ipv4-addr ${POOL}.1`,
    `prefix ${PREFIX}/96`,
    `dynamic-pool ${POOL}.0/24`,
    `data-dir ${folder}`,
  ])
  await internet.run(router, `tayga --mktun -c ${tayga} >/dev/null\nip -batch - <<'end'\n${ROUTES.join('\n')}\nend`)
  internet.adopt(start(internet, router, ['tayga', '-d', '-c', tayga]))
  const unbound = file('unbound.conf', resolver(inside, folder))
  internet.adopt(start(internet, router, ['unbound', '-d', '-c', unbound]))
}

/** The file for a host's /etc/resolv.conf. */
export function resolverFile(internet: Surroundings, host: string, nameServer: string): string {
  const path = join(runFolder(), `${internet.namespace(host)}.resolv.conf`)
  writeFileSync(path, `nameserver ${nameServer}\noptions timeout:1\n`)
  return path
}

const ROUTES = [
  'link set dev nat64 addrgenmode none',
  'link set dev nat64 up',
  `addr add ${POOL}.254/32 dev nat64`,
  `route add ${POOL}.0/24 dev nat64`,
  `route add ${PREFIX}/96 dev nat64`,
]

/** All there is to know: unbound does not ask its DNS64 module about local data, so both kinds of address are written down. */
function resolver(inside: string, folder: string): string[] {
  const names = [
    ['ipv4only.arpa', WELL_KNOWN] as const, //
    [STUN_NAME, [SERVER_ADDRESSES[0]]] as const,
  ]
  return [
    'server:',
    `  interface: ${inside}`,
    '  access-control: ::/0 allow',
    '  username: ""',
    '  chroot: ""',
    `  directory: "${folder}"`,
    '  pidfile: ""',
    '  use-syslog: no',
    '  do-ip4: no',
    ...names.flatMap(([name, addresses]) => [
      `  local-zone: "${name}." static`,
      ...addresses.flatMap((address) => [
        `  local-data: "${name}. A ${address}"`,
        `  local-data: "${name}. AAAA ${PREFIX}${address}"`,
      ]),
    ]),
    '  local-zone: "." static',
    'remote-control:',
    '  control-enable: no',
  ]
}

function start(internet: Surroundings, router: string, service: readonly string[]) {
  const [command, ...args] = inNamespace(internet.namespace(router), service)
  return spawn(command!, args, { stdio: 'ignore' })
}
