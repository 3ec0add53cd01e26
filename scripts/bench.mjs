/**
 * `npm run bench`: floe beside its peers, on this machine, in one run. Tables here, JSON in bench/results/.
 *
 *   npm run bench                    all of them
 *   npm run bench -- stun connect    these
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { prepare } from './prepare.mjs'

/** In the order of the life of a packet. */
const BENCHES = [
  'stun',
  'connect',
  'handshake',
  'peer',
  'first-message',
  'throughput',
  'relay',
  'memory',
  'idle',
  'signaling',
]

const root = join(import.meta.dirname, '..')
const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !BENCHES.includes(name))
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(', ')}; there are ${BENCHES.join(', ')}.`)
  process.exit(2)
}

prepare({ demo: false })
const failed = []
for (const name of asked.length > 0 ? asked : BENCHES) {
  // A process each: what one leaves behind in the heap, or in the compiler's memory, is not the next one's result.
  const { status } = spawnSync(process.execPath, ['--expose-gc', join(root, 'bench', 'src', `${name}.mjs`)], {
    stdio: 'inherit',
    cwd: root,
  })
  if (status !== 0) failed.push(name)
}
console.log(failed.length === 0 ? '\nAll that was wanted is met.' : `\nNot met, or broken: ${failed.join(', ')}.`)
process.exitCode = failed.length === 0 ? 0 : 1
