/** Peers of every kind, each in a process of its own where its host stands. */
import { readFileSync } from 'node:fs'
import type { Endpoint } from '../peer/endpoint.ts'
import type { Signal } from '../peer/test-peer.ts'
import { pageScript } from './bundle.ts'
import type { Internet } from './internet.ts'
import type { LabPeer } from './peer/lab-peer.ts'
import type { Decision } from './peer/node-peer.ts'
import { type Remote, startRemote } from './remote.ts'

/** `werift`: Node with werift's own ICE, for comparison. */
export const PEER_KINDS = ['node', 'chromium', 'firefox', 'werift'] as const
export type PeerKind = (typeof PEER_KINDS)[number]

/** A LabPeer, called from afar. */
export type LabEndpoint = Endpoint &
  Pick<LabPeer, 'notes' | 'beat' | 'arrivals' | 'relay' | 'pairChanges' | 'startStream' | 'stopStream' | 'stream'>

export interface Peer extends Pick<Remote, 'suspend' | 'resume'> {
  readonly endpoint: LabEndpoint
  /** The decisions of a Node peer's agents; browsers keep theirs to themselves. */
  decisions(): Promise<Decision[]>
  /** UDP datagrams that left its host, and came in. */
  traffic(): { readonly sent: number; readonly received: number }
}

export interface PeerOptions {
  /** Chromium too uses every interface of its host, as a page does that may use the microphone. Default: its own default. */
  readonly everyInterface?: boolean
}

export async function startPeer(
  internet: Internet,
  host: string,
  kind: PeerKind,
  configuration: RTCConfiguration,
  { everyInterface = false }: PeerOptions = {},
): Promise<Peer> {
  const remote =
    kind === 'node' || kind === 'werift'
      ? await startRemote(internet, host, `${kind}-peer`)
      : await startRemote(internet, host, 'browser-peer', [
          kind,
          await pageScript('page'),
          ...(everyInterface ? ['every-interface'] : []),
        ])
  await remote.call('make', { configuration })
  const call =
    (method: string) =>
    (...args: unknown[]) =>
      remote.call('call', method, args)
  const endpoint = new Proxy({ onsignal: (_: Signal) => {} } as LabEndpoint, {
    // A promise would be asked for `then`: this is none.
    get: (target, key) => (key in target || key === 'then' ? Reflect.get(target, key) : call(String(key))),
  })
  remote.onevent = (signal) => endpoint.onsignal(signal as Signal)
  const before = udpTraffic(remote.pid)
  return {
    endpoint,
    suspend: remote.suspend,
    resume: remote.resume,
    decisions: async () => (await remote.call('log')) as Decision[],
    traffic: () => {
      const { sent, received } = udpTraffic(remote.pid)
      return { sent: sent - before.sent, received: received - before.received }
    },
  }
}

/** The kernel's own counters of a process's network. */
function udpTraffic(pid: number): { sent: number; received: number } {
  const [, , , , ...rest] = readFileSync(`/proc/${pid}/net/snmp`, 'utf8').split('\n')
  const udp = rest.filter((line) => line.startsWith('Udp:')).map((line) => line.split(' '))
  const four = (name: string) => Number(udp[1]![udp[0]!.indexOf(name)])
  const snmp6 = readFileSync(`/proc/${pid}/net/snmp6`, 'utf8')
  const six = (name: string) => Number(new RegExp(`^Udp6${name}\\s+(\\d+)`, 'm').exec(snmp6)?.[1] ?? 0)
  return {
    sent: four('OutDatagrams') + six('OutDatagrams'),
    received: four('InDatagrams') + six('InDatagrams'),
  }
}
