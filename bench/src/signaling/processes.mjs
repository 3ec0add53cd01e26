/** Starting and ending what a signaling run needs: servers, a balancer, Redis. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'

const running = new Set()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Starts a script of this folder; resolves with its first line, which says where it listens. */
export async function start(script, args, onrecord = () => {}) {
  const child = spawn(process.execPath, [join(import.meta.dirname, script), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
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
