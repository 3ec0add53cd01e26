/** Findings for people: each line says what is so, in RFC 4787's words where there are any, and what that means. */
import type { NatBehavior } from '@floe/nat/node'
import type { Findings, Verdict } from './findings.ts'

export function inWords(findings: Findings, verdict: Verdict): string {
  const { nat, portMapping, nat64, servers, candidates } = findings
  return [
    section('Addresses that peers are told', candidates.map(candidateLine)),
    section('Servers', servers.map(serverLine)),
    ...(nat.ipv4 ? [section('IPv4', natLines(nat.ipv4))] : []),
    ...(nat.ipv6 ? [section('IPv6', natLines(nat.ipv6))] : []),
    ...(portMapping ? [section('Port mapping', [mappingLine(portMapping)])] : []),
    ...(nat64.confirmed && nat64.prefixes.length > 0
      ? [
          section('NAT64', [
            `IPv4 is reached through ${nat64.prefixes.map(({ ip, length }) => `${ip}/${length}`).join(', ')}`,
          ]),
        ]
      : []),
    `${VERDICTS[verdict]}\n`,
  ].join('\n')
}

const VERDICTS: Readonly<Record<Verdict, string>> = {
  open: 'Open: whoever is told our address gets in, behind whatever NAT.',
  direct: 'Easy: connections will be direct, unless the other side’s NAT is a hard one and ours filters.',
  hard: 'Hard: this NAT gives another port to every destination. Direct with open and easy peers, relayed with others.',
  'relay-only': 'Relayed: no STUN server answers over UDP, but a relay works. Everything will go through it.',
  unknown:
    'Unknown: no server was asked. Name a STUN server with --stun, better two, or a room’s server with --server.',
  stuck: 'Stuck: connections will fail with many peers. A TURN server helps: floe serve --turn, or docs/turn.md.',
}

function section(title: string, lines: readonly string[]): string {
  return `${title}\n${(lines.length > 0 ? lines : ['none']).map((line) => `  ${line}`).join('\n')}\n`
}

function candidateLine({ type, protocol, address, port, url }: Findings['candidates'][number]): string {
  const meaning = {
    host: 'this machine',
    srflx: 'as a server sees us',
    mapped: 'opened at the router',
    relay: 'a relay',
  }
  const where = `${address.includes(':') ? `[${address}]` : address}:${port}/${protocol}`
  return `${type.padEnd(6)} ${where}  ${meaning[type]}${url ? `, ${url}` : ''}`
}

function serverLine({ url, works, roundTripTime, error }: Findings['servers'][number]): string {
  const time = roundTripTime === undefined ? '' : `, ${roundTripTime} ms`
  return works ? `works  ${url}${time}` : `fails  ${url}: ${error}`
}

function mappingLine({ mapping, reason }: NonNullable<Findings['portMapping']>): string {
  if (!mapping) return `none: ${reason}`
  const { protocol, external, lifetime, forwards } = mapping
  const result = forwards === undefined ? '' : forwards ? ', and lets packets in' : ', and lets nothing in all the same'
  return `${protocol} maps ${external} to us, ${Math.round(lifetime / 60_000)} minutes at a time${result}`
}

function natLines(nat: NatBehavior): string[] {
  if (!nat.reachable) return ['no STUN server answers: UDP is blocked, or the servers are down']
  if (nat.translated === false) return ['no NAT', `filtering ${nat.filtering}: ${FILTERING[nat.filtering]}`]
  return [
    `NAT, from ${nat.local.ip} to ${nat.mapped?.ip}${nat.layers === 2 ? ', and another one behind the router’s' : ''}`,
    `mapping ${nat.mapping}: ${MAPPING[nat.mapping]}`,
    `filtering ${nat.filtering}: ${FILTERING[nat.filtering]}`,
    ...(nat.allocation
      ? [`ports ${ALLOCATION[nat.allocation.kind]} (${nat.allocation.low} to ${nat.allocation.high} seen)`]
      : []),
    `hairpinning ${nat.hairpinning}: ${HAIRPINNING[nat.hairpinning]}`,
    ...(nat.carrierGrade ? ['carrier-grade NAT: the provider shares one address among customers'] : []),
  ]
}

const MAPPING: Readonly<Record<NatBehavior['mapping'], string>> = {
  'endpoint-independent': 'the same outside port for every peer, which is what direct connections need',
  'address-dependent': 'another outside port for every peer’s address',
  'address-and-port-dependent': 'another outside port for every peer: nobody can know it beforehand',
  'endpoint-dependent': 'another outside port for every peer, or for every peer’s address',
  unknown: 'that takes servers on two addresses',
}

const FILTERING: Readonly<Record<NatBehavior['filtering'], string>> = {
  'endpoint-independent': 'everybody gets in',
  'address-dependent': 'who has been sent to gets in, from any port',
  'address-and-port-dependent': 'who has been sent to gets in, from that port alone',
  unknown: 'that takes a server with two addresses (RFC 5780), as floe serve runs on such machines',
}

const HAIRPINNING: Readonly<Record<NatBehavior['hairpinning'], string>> = {
  external: 'neighbours reach each other by their outside addresses',
  internal: 'neighbours reach each other by their outside addresses, and see the inside ones',
  none: 'neighbours do not reach each other by their outside addresses',
  unknown: 'not tested',
}

const ALLOCATION: Readonly<Record<NonNullable<NatBehavior['allocation']>['kind'], string>> = {
  preserving: 'are kept',
  sequential: 'follow one another',
  block: 'come out of a block',
  random: 'are random',
}
