import { spawnSync } from 'node:child_process'
import { basename } from 'node:path'

/** Set by `npm test`, which runs everything in a namespace with eth0 (10.77.0.1/24, fd77::1/64) and default routes. */
export const inPrivateNetwork = process.env.FLOE_TEST_NETNS === '1'

/** Set by `runInPrivateNetwork(file, 'bare')`: no interface is up. */
export const inBareNetwork = process.env.FLOE_TEST_NETNS === 'bare'

/** Set by `runInPrivateNetwork(file, 'own')`: the same as in `npm test`, but no other test file is in it. */
export const inOwnNetwork = process.env.FLOE_TEST_NETNS === 'own'

/** Why no private network can be made here, or `undefined`. */
export const whyNoPrivateNetwork =
  process.platform === 'linux' && process.getuid?.() === 0 && spawnSync('ip', ['netns', 'list']).status === 0
    ? undefined
    : '(left out: takes root on Linux)'

/** What a test file finds in `FLOE_TEST_NETNS`. */
export type TestNetwork = '1' | 'own' | 'bare'

/** Runs a test file in a network namespace like the one of `npm test`, or one without any interface. */
export function runInPrivateNetwork(file: string, network: TestNetwork): { status: number | null; output: string } {
  const name = `floe-${basename(file, '.test.ts')}-${process.pid}-${network}`
  ip('netns', 'add', name)
  try {
    if (network !== 'bare') wire(name)
    const command = [process.execPath, 'node_modules/vitest/vitest.mjs', 'run', '--project', 'unit', file]
    const env = { ...process.env, FLOE_TEST_NETNS: network }
    const run = spawnSync('ip', ['netns', 'exec', name, ...command], { env, encoding: 'utf8', timeout: 50_000 })
    return { status: run.status, output: run.stdout + run.stderr }
  } finally {
    ip('netns', 'delete', name)
  }
}

function wire(name: string): void {
  const inside = (...args: string[]) => ip('-n', name, ...args)
  inside('link', 'set', 'lo', 'up')
  inside('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'far-end')
  inside('link', 'set', 'far-end', 'addrgenmode', 'none')
  inside('link', 'set', 'far-end', 'up')
  inside('link', 'set', 'eth0', 'up', 'multicast', 'on')
  inside('address', 'add', '10.77.0.1/24', 'dev', 'eth0')
  inside('address', 'add', 'fd77::1/64', 'dev', 'eth0', 'nodad')
  inside('route', 'add', 'default', 'via', '10.77.0.254', 'dev', 'eth0')
}

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}
