import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Internet } from './internet.ts'
import { inNamespace } from './namespaces.ts'

/** Writes what every host, router and the servers see, one file each, until the internet is closed. Takes tcpdump. */
export async function capture(internet: Internet, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const names = [...internet.plan.namespaces.keys()].filter((name) => name !== 'core')
  await Promise.all(names.map((name) => captureAt(internet, name, join(folder, `${name}.pcap`))))
}

/** Packet by packet: what waits for a buffer to fill, or a second to pass, is lost when a short run ends. */
async function captureAt(internet: Internet, name: string, file: string): Promise<void> {
  const tcpdump = ['tcpdump', '-i', 'any', '-n', '-U', '--immediate-mode', '-w', file, '--relinquish-privileges=root']
  const [command, ...args] = inNamespace(internet.namespace(name), tcpdump)
  const child = spawn(command!, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  internet.adopt(child)
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`tcpdump on ${name} ended (${code})`)))
    createInterface(child.stderr).on('line', (line) => line.includes('listening on') && resolve())
  })
}
