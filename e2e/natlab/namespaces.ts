/** Network namespaces that belong to this process, and are gone with it, however it ends. */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PREFIX = 'floe-natlab-'
const FOLDER = '/run/netns'

/** Why this process may not make an internet, or undefined when it may. */
export function whyNot(): string | undefined {
  if (process.platform !== 'linux') return `network namespaces are Linux's, and this is ${process.platform}`
  if (process.getuid?.() !== 0) return 'making network namespaces takes root'
  const tools = ['ip', 'nft', 'nsenter', 'conntrack', 'turnserver']
  const missing = tools.filter((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0)
  if (!existsSync('/usr/bin/python3')) missing.push('/usr/bin/python3')
  if (missing.length > 0) return `missing ${missing.join(', ')}: scripts/system-packages.sh installs them`
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun for the delay line'
  const trial = `${owner()}trial`
  const made = spawnSync('ip', ['netns', 'add', trial], { encoding: 'utf8' })
  if (made.status === 0) spawnSync('ip', ['netns', 'delete', trial])
  return made.status === 0 ? undefined : `ip netns add: ${made.stderr.trim()}`
}

/** A name for a namespace of this process. From the first one on, a reaper waits for the end of this process. */
export function namespaceName(role: string): string {
  startReaper()
  return `${owner()}${role}`
}

/** A folder for the files of this process's internets, gone with it. */
export function runFolder(): string {
  const folder = join(tmpdir(), owner().slice(0, -1))
  mkdirSync(folder, { recursive: true })
  return folder
}

/** The command line that runs `command` in the namespace. Only the network changes: files and mounts stay the same. */
export function inNamespace(name: string, command: readonly string[]): string[] {
  return ['nsenter', `--net=${FOLDER}/${name}`, '--', ...command]
}

/** Ends what runs in these namespaces, and takes them away. */
export function removeNamespaces(names: readonly string[]) {
  for (const pid of processesIn(names)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {} // It ended by itself meanwhile.
  }
  const lines = names.filter((name) => existsSync(`${FOLDER}/${name}`)).map((name) => `netns delete ${name}\n`)
  spawnSync('ip', ['-batch', '-', '-force'], { input: lines.join('') })
}

/** Takes away what dead processes left behind. Called before a process makes its first internet. */
export function sweep() {
  const left = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.startsWith(PREFIX) && !isAlive(name)) : []
  if (left.length > 0) removeNamespaces(left)
  for (const name of readdirSync(tmpdir())) {
    if (name.startsWith(PREFIX) && !isAlive(`${name}-`)) rmSync(join(tmpdir(), name), { recursive: true, force: true })
  }
}

/** The processes whose network is one of these. */
export function processesIn(names: readonly string[]): number[] {
  const identities = new Set(names.map((name) => networkOf(`${FOLDER}/${name}`)))
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger)
  return pids.filter((pid) => identities.has(networkOf(`/proc/${pid}/ns/net`)))
}

/** Inode number. A mounted namespace is a file of the kernel's nsfs; one of a process is a link that names it. */
function networkOf(path: string): string | undefined {
  try {
    if (path.startsWith('/proc')) return readlinkSync(path)
    return `net:[${statSync(path).ino}]`
  } catch {
    return undefined // The process is gone, or the name.
  }
}

/** `floe-natlab-<pid>.<start time>-`: the time tells a process from a later one with the same number. */
function owner(): string {
  return `${PREFIX}${process.pid}.${startTime(process.pid)}-`
}

function isAlive(name: string): boolean {
  const [, pid, time] = /^floe-natlab-(\d+)\.(\d+)-/.exec(name) ?? []
  return time !== undefined && startTime(Number(pid)) === time
}

/** Clock ticks since boot, proc(5): field 22, counted behind the command name, which may hold anything. */
function startTime(pid: number): string | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return status.slice(status.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

let reaper: ReturnType<typeof spawn> | undefined

/** A shell that reads from us until we are gone, even by kill -9, and then clears up. */
function startReaper() {
  if (reaper) return
  sweep()
  const script = `while read -r _; do :; done
for path in ${FOLDER}/"$1"*; do
  [ -e "$path" ] || continue
  for pid in $(ip netns pids "\${path##*/}"); do kill -9 "$pid"; done
  ip netns delete "\${path##*/}"
done
rm -rf "$2"`
  reaper = spawn('sh', ['-c', script, 'floe-natlab-reaper', owner(), runFolder()], {
    // A session of its own: what ends our process group must not end it.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
  })
  reaper.unref()
  ;(reaper.stdin as unknown as { unref(): void }).unref()
}
