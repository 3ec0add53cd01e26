/** Where our TURN server listens. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, isIPv6 } from 'node:net'
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { addressScope } from '@floe/ice'
import { CliError, EXIT } from '../failure.ts'

/** Addresses of documentation (RFC 5737, RFC 3849): nobody's, yet there is a route to them as to everybody else. */
const ANYBODY = { udp4: '192.0.2.1', udp6: '2001:db8::1' } as const

/**
 * The addresses for a TURN server beside an HTTP server at `httpIp`. Where that listens everywhere, those that lead out:
 * one per family, so that nobody is relayed into a container network or a VPN of this machine.
 */
export async function turnAddresses(httpIp: string): Promise<string[]> {
  if (addressScope(httpIp) !== 'unspecified') return [httpIp]
  const families = isIPv6(httpIp) ? (['udp4', 'udp6'] as const) : (['udp4'] as const)
  const found = await Promise.all(families.map((family) => leadingOut(family)))
  const ips = found.filter((ip) => ip !== undefined)
  return ips.length > 0 ? ips : ['127.0.0.1']
}

/** Every address of this machine, with its network. */
export function ownAddresses(): NetworkInterfaceInfo[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
}

/**
 * The port, or a free one for 0, that nobody has on any of the addresses. coturn itself would share one with another
 * coturn, and each of them would get half of the packets.
 * @throws CliError
 */
export async function claimPort(ips: readonly string[], wanted: number): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    try {
      let port = wanted
      for (const ip of ips) port = await tryPort(ip, port)
      return port
    } catch (error) {
      // A port that is free at one address and over TCP may be taken at the next one or over UDP.
      if (wanted !== 0 || attempt >= FREE_PORT_ATTEMPTS) throw portError(wanted, error as NodeJS.ErrnoException)
    }
  }
}

const FREE_PORT_ATTEMPTS = 20

async function tryPort(ip: string, wanted: number): Promise<number> {
  const tcp = createServer()
  const udp = createSocket(isIPv6(ip) ? 'udp6' : 'udp4')
  try {
    tcp.listen(wanted, ip)
    await once(tcp, 'listening')
    const { port } = tcp.address() as { port: number }
    udp.bind(port, ip)
    await once(udp, 'listening')
    return port
  } finally {
    tcp.close()
    udp.close()
  }
}

function portError(port: number, error: NodeJS.ErrnoException): CliError {
  const taken = error.code === 'EADDRINUSE'
  const message = taken ? `Port ${port} is taken by another program.` : `No TURN server can listen: ${error.message}.`
  const hint = taken
    ? "Take another with --turn-port, or any free one with --turn-port 0. Packages of coturn start a server of theirs: 'systemctl disable --now coturn' ends it."
    : 'See --host and --turn-port: an address of this machine, and a port above 1023.'
  return new CliError('ERR_CLI_TURN', EXIT.turn, message, hint, { cause: error })
}

/** No packet is sent: connecting a UDP socket asks for a route. Without a default route, some address of the network. */
async function leadingOut(family: 'udp4' | 'udp6'): Promise<string | undefined> {
  const socket = createSocket(family)
  try {
    socket.connect(9, ANYBODY[family])
    await once(socket, 'connect')
    return socket.address().address
  } catch {
    const wanted = family === 'udp4' ? 'IPv4' : 'IPv6'
    return ownAddresses().find(
      ({ family, internal, address }) => family === wanted && !internal && addressScope(address) !== 'link-local',
    )?.address
  } finally {
    socket.close()
  }
}
