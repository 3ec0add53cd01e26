import { isIPv4 } from 'node:net'
import { ownAddresses } from './addresses.ts'
import type { OwnTurn } from './options.ts'
import { peerRules } from './peer-rules.ts'

/** Allocations of one peer: it makes one per server URL, interface and connection. The echo peer has many connections. */
const USER_QUOTA = 128
/** Of all together. */
const TOTAL_QUOTA = 4_096

export interface CoturnSettings extends Pick<OwnTurn, 'externalIp' | 'relayPorts' | 'tls'> {
  /** A folder of its own, for what it writes. */
  readonly folder: string
  readonly ips: readonly string[]
  readonly port: number
  readonly secret: string
}

/** coturn's configuration file. `docs/turn.md` explains these lines, and what a server for the whole world needs beyond. */
export function coturnConfig({ folder, ips, port, secret, externalIp, relayPorts, tls }: CoturnSettings): string {
  const [minPort, maxPort] = relayPorts
  const lines = [
    `listening-port=${port}`,
    // Relayed addresses are those where clients come in: coturn's default without relay-ip.
    ...ips.map((ip) => `listening-ip=${ip}`),
    ...(externalIp === undefined ? [] : [`external-ip=${externalIp}/${inside(externalIp, ips)}`]),
    `min-port=${minPort}`,
    `max-port=${maxPort}`,
    'realm=floe',
    'use-auth-secret',
    `static-auth-secret=${secret}`,
    'fingerprint',
    'stale-nonce=600',
    `user-quota=${USER_QUOTA}`,
    `total-quota=${TOTAL_QUOTA}`,
    ...peerRules(ips, ownAddresses(), externalIp !== undefined),
    'no-tcp-relay', // RFC 6062: TCP connections to anywhere, which WebRTC never asks for
    ...tlsLines(tls),
    'no-dtls', // floe does not speak it: see docs/turn.md
    'no-cli',
    'no-rfc5780', // answers that are larger than what they answer are for attackers
    'no-software-attribute',
    `userdb=${folder}/turndb`,
    `pidfile=${folder}/pid`,
    'log-file=stdout',
  ]
  return `${lines.join('\n')}\n`
}

function tlsLines(tls: CoturnSettings['tls']): string[] {
  if (tls === undefined) return ['no-tls']
  const { cert, key, port } = tls
  return [`tls-listening-port=${port}`, `cert=${cert}`, `pkey=${key}`, 'no-tlsv1', 'no-tlsv1_1']
}

/** The address that the NAT maps the external one to: the first of the same family. */
function inside(externalIp: string, ips: readonly string[]): string {
  return ips.find((ip) => isIPv4(ip) === isIPv4(externalIp)) ?? ips[0]!
}
