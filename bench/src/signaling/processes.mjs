/** Starting and ending what a signaling run needs: servers, a balancer, Redis. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { setPriority } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'

const running = new Set()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1))

/** Starts a script of this folder; resolves with its first line, which says where it listens. */
export async function start(script, args, onrecord = () => {}) {
  const child = spawn(process.execPath, ['--expose-gc', join(import.meta.dirname, script), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true, // a session of its own, see `place`
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  return new Promise((resolve, reject) => {
    child.once('exit', (code, signal) => reject(new Error(`${script} has ended: ${code ?? signal}`)))
    createInterface({ input: child.stdout }).on('line', (line) => {
      const record = JSON.parse(line)
      if (record.event === 'listening') resolve({ ...record, child })
      else onrecord(record)
    })
  })
}

/**
 * Binds a process to one processor, and sets its priority: -20 is the highest. `false` when this system or user may not. Linux
 * compares sessions first and processes within one only then, where it groups them (autogroup); these here have one each.
 */
export function place(pid, { processor, priority }) {
  try {
    setPriority(pid, priority)
    writeFileSync(`/proc/${pid}/autogroup`, `${priority}`)
  } catch {
    return false
  }
  return succeeds('taskset', ['-cp', `${processor}`, `${pid}`])
}

/** Of all processes of its processor it runs first, at once. For one that sleeps most of the time. */
export function prefer(pid) {
  return succeeds('chrt', ['-a', '--rr', '-p', '1', `${pid}`])
}

function succeeds(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

/** Debian's redis-server on a free port, in memory only: after a restart it knows nothing. */
export class Redis {
  #child
  #port

  static async start() {
    const redis = new Redis()
    redis.#port = await freePort()
    await redis.#run()
    return redis
  }

  get url() {
    return `redis://127.0.0.1:${this.#port}`
  }

  /** As if the machine had lost its power for `pause` ms. */
  async restart(pause) {
    await this.stop()
    await delay(pause)
    await this.#run()
  }

  stop() {
    return end(this.#child, 'SIGKILL')
  }

  async #run() {
    const args = ['--port', `${this.#port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    this.#child = spawn('redis-server', args, { stdio: 'ignore' })
    running.add(this.#child)
    const failed = once(this.#child, 'error').then(([error]) => Promise.reject(error))
    await Promise.race([failed, this.#answers()])
    failed.catch(() => {})
  }

  async #answers() {
    for (let attempt = 0; attempt < 100; attempt++) {
      const socket = connect(this.#port, '127.0.0.1')
      const reached = await Promise.race([once(socket, 'connect'), once(socket, 'error')]).then(
        () => true,
        () => false,
      )
      socket.destroy()
      if (reached) return
      await delay(50)
    }
    throw new Error('redis-server does not answer')
  }
}

export async function end(child, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill(signal)
  await gone
  running.delete(child)
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  return port
}

/** Resident memory of a process in MB, as Linux sees it. */
export async function residentMegabytes(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024)
}
