import type { Socket } from 'node:dgram'
import { type Address, canonicalIp } from '@floe/stun'
import { ForwardingCheck, type ForwardingVerdict } from '../forwarding-check.ts'
import { Alarm, clock } from './clock.ts'
import { random } from './random.ts'
import { sendFrom } from './udp.ts'

/**
 * Looks once whether a port mapping lets packets in: STUN over the mapped socket itself, which stays its owner's. `external`
 * is what the mapping says; `servers` are STUN servers of its family, of use where they have a second address (RFC 5780).
 * Ten seconds at most, one or two as a rule.
 */
export function checkForwarding(
  socket: Socket,
  external: Address,
  servers: readonly Address[],
): Promise<ForwardingVerdict> {
  const { address, port } = socket.address()
  const local = Object.freeze({ ip: canonicalIp(address) ?? address, port })
  const machine = new ForwardingCheck(clock(), { local, external, servers, random })
  return new Promise((resolve) => {
    const settle = () => {
      for (let output = machine.poll(); output; output = machine.poll()) {
        if (output.type === 'packet') sendFrom(socket, output.packet.bytes, output.packet.remote)
        else finish(output.verdict)
      }
      alarm.set(machine.timeout())
    }
    const alarm = new Alarm(() => {
      machine.handleTimeout(clock())
      settle()
    })
    const receive = (bytes: Uint8Array, from: { address: string; port: number }) => {
      const remote = { ip: canonicalIp(from.address) ?? from.address, port: from.port }
      machine.handlePacket(clock(), { protocol: 'udp', local, remote, bytes })
      settle()
    }
    const finish = (verdict: ForwardingVerdict) => {
      socket.off('message', receive)
      resolve(verdict)
    }
    socket.on('message', receive)
    settle()
  })
}
