/**
 * A private network for one test run: a Linux network namespace with an address of its own on a link that goes nowhere.
 * Inside, nothing of the machine's network is seen or reached, ports never collide, and multicast DNS stays at home.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

const PREFIX = 'floe-test-'

/**
 * Makes the namespace of this process and returns its name, or undefined where this user may not (no Linux, no root,
 * a container without CAP_NET_ADMIN). Sweeps what dead earlier runs left behind first.
 */
export function makeNamespace() {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined
  sweepDeadRuns()
  const name = `${PREFIX}${process.pid}`
  if (spawnSync('ip', ['netns', 'add', name]).status !== 0) return undefined
  try {
    wire(name)
  } catch (error) {
    removeNamespace(name)
    throw error
  }
  return name
}

/** The command line that runs `command` in the namespace. Only the network changes: files and mounts stay the same. */
export function inNamespace(name, command) {
  return ['nsenter', `--net=/run/netns/${name}`, '--', ...command]
}

/** The processes that live in the namespace, as `pid command line`. */
export function processesIn(name) {
  return pidsIn(name).map((pid) => `${pid} ${commandLine(pid).slice(0, 160)}`)
}

/** Ends whatever still runs in the namespace, then takes the namespace away. */
export function removeNamespace(name) {
  for (const pid of pidsIn(name)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {} // It ended by itself meanwhile.
  }
  spawnSync('ip', ['netns', 'delete', name])
}

function wire(name) {
  const inside = (...args) => ip('-n', name, ...args)
  inside('link', 'set', 'lo', 'up')
  // A cable with its far end in the air. Browsers gather candidates only where a default route is: it leads in there.
  inside('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'far-end')
  inside('link', 'set', 'far-end', 'addrgenmode', 'none')
  inside('link', 'set', 'far-end', 'up')
  inside('link', 'set', 'eth0', 'up', 'multicast', 'on')
  inside('address', 'add', '10.77.0.1/24', 'dev', 'eth0')
  inside('address', 'add', 'fd77::1/64', 'dev', 'eth0', 'nodad')
  inside('route', 'add', 'default', 'via', '10.77.0.254', 'dev', 'eth0')
  inside('-6', 'route', 'add', 'default', 'via', 'fd77::fe', 'dev', 'eth0')
}

function sweepDeadRuns() {
  for (const name of namespaces()) {
    const owner = Number(name.slice(PREFIX.length))
    if (!commandLine(owner).includes('test.mjs')) removeNamespace(name)
  }
}

function namespaces() {
  try {
    return readdirSync('/run/netns').filter((name) => /^floe-test-\d+$/.test(name))
  } catch {
    return []
  }
}

function pidsIn(name) {
  const listing = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' })
  return (listing.stdout ?? '').split('\n').filter(Boolean).map(Number)
}

function commandLine(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return ''
  }
}

function ip(...args) {
  const run = spawnSync('ip', args, { encoding: 'utf8' })
  if (run.status !== 0) throw new Error(`ip ${args.join(' ')}: ${run.stderr.trim()}`)
}
