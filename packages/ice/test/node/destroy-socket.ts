import { spawnSync } from 'node:child_process'

/** SOCK_DESTROY, as Android does it to the sockets of a network that it leaves. */
export function destroySocket(port: number): void {
  spawnSync('ss', ['--kill', '--udp', '--numeric', `sport = :${port}`])
}

export function whyNoDestroy(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return '(left out: takes root on Linux)'
  return spawnSync('ss', ['--version']).status === 0 ? undefined : '(left out: takes iproute2)'
}
