/** What holds an internet together beside its routers: the delay line, the ways through the core, and the end of it all. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, test } from 'vitest'
import { NAT_TYPES } from '../topology/nat-types.ts'
import { Internet } from './internet.ts'
import { inNamespace, processesIn, sweep, whyNot } from './namespaces.ts'
import { Probe, type ProbeSocket } from './probe.ts'

const reason = whyNot()

describe.skipIf(reason)(`the internet${reason ? ` (left out: ${reason})` : ''}`, () => {
  test('two hosts are four latencies apart, of either family', async () => {
    await using internet = await Internet.build({ hosts: { a: BOTH, b: BOTH }, latency: 15 })
    const [a, b] = [await Probe.start(internet, 'a'), await Probe.start(internet, 'b')]
    for (const family of [0, 1]) {
      const [near, far] = [await openAt(internet, a, 'a', family), await openAt(internet, b, 'b', family)]
      await near.reach(far) // Neighbours get to know each other.
      const start = performance.now()
      expect(await near.reach(far)).toMatchObject({ port: near.port })
      expect(await far.reach(near)).toMatchObject({ port: far.port })
      expect(performance.now() - start).toBeGreaterThan(59)
    }
  })

  test('a leg loses, swallows large packets, and lets STUN alone through', async () => {
    await using internet = await Internet.build({ hosts: { a: BOTH, b: BOTH }, latency: 0 })
    const [a, b] = [await Probe.start(internet, 'a'), await Probe.start(internet, 'b')]
    const [near, far] = [await openAt(internet, a, 'a', 0), await openAt(internet, b, 'b', 0)]
    const stun = '\x00\x01\x00\x00\x21\x12\xa4\x42 a binding request'
    const largerAgain = await internet.line.change('a', { direction: 'up', quality: { mtu: 500 } })
    expect(await near.reach(far, far, 'x'.repeat(480))).toBeUndefined()
    expect(await near.reach(far, far, 'x'.repeat(400))).toBeDefined()
    expect(await far.reach(near, near, 'x'.repeat(480))).toBeDefined()
    await largerAgain()
    expect(await near.reach(far, far, 'x'.repeat(480))).toBeDefined()
    await internet.line.change('a', { direction: 'up', quality: { drops: 'data' } })
    expect(await near.reach(far)).toBeUndefined()
    expect(await near.reach(far, far, stun)).toBeDefined()
    await internet.line.change('a', { direction: 'up', quality: { drops: 'all' } })
    expect(await near.reach(far, far, stun)).toBeUndefined()
    expect(await far.reach(near)).toBeDefined()
  })

  test('the same seed loses the same packets', async () => {
    const arrived = async (seed: number) => {
      await using internet = await Internet.build({ hosts: { a: BOTH, b: BOTH }, latency: 0, seed })
      await internet.line.change('a', { direction: 'up', quality: { loss: 0.5 } })
      const [a, b] = [await Probe.start(internet, 'a'), await Probe.start(internet, 'b')]
      const [near, far] = [await openAt(internet, a, 'a', 0), await openAt(internet, b, 'b', 0)]
      const got: boolean[] = []
      for (let i = 0; i < 12; i++) got.push((await near.reach(far)) !== undefined)
      return got.map(Number).join('')
    }
    const once = await arrived(7)
    expect(once).toMatch(/0.*1|1.*0/)
    expect(await arrived(7)).toBe(once)
    expect(await arrived(8)).not.toBe(once)
  })

  test('a host with IPv6 alone learns of its NAT64 (RFC 7050), and reaches IPv4 through it', async () => {
    await using internet = await Internet.build({ hosts: { a: NAT_TYPES.nat64.placements, b: [{}] } })
    const [a, b] = [await Probe.start(internet, 'a'), await Probe.start(internet, 'b')]
    const synthesized = (await a.resolve('ipv4only.arpa')).find((address) => address.endsWith('c000:aa'))!
    const far = await openAt(internet, b, 'b', 0)
    const near = await openAt(internet, a, 'a', 0)
    const [high, low] = [(203 << 8) + 0, (113 << 8) + 1].map((part) => part.toString(16))
    const at = { ip: synthesized.replace('c000:aa', `${high}:${low}`), port: far.port }
    const seen = await near.reach(far, at)
    expect(seen?.ip).toMatch(/^198\.51\.100\./)
    expect(await far.reach(near, seen)).toMatchObject({ ip: at.ip, port: far.port })
  })

  test('closing takes away every namespace and process', async () => {
    const internet = await Internet.build({ hosts: { a: BOTH } })
    await Probe.start(internet, 'a')
    const names = [...internet.plan.namespaces.keys()].map((name) => internet.namespace(name))
    expect(names.every((name) => existsSync(`/run/netns/${name}`))).toBe(true)
    expect(processesIn(names).length).toBeGreaterThan(1)
    await internet.close()
    expect(names.filter((name) => existsSync(`/run/netns/${name}`))).toEqual([])
  })

  test('kill -9 leaves nothing behind', async () => {
    // A program that does nothing but hold an internet, and is found by its folder of namespaces.
    const script = `import('vite').then(async ({ runnerImport }) => {
      const { module } = await runnerImport('./e2e/natlab/internet.ts', { configFile: false, logLevel: 'error' })
      await module.Internet.build({ hosts: { a: [{}] } })
      console.log('built')
    })`
    const holder = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = await once(createInterface(holder.stdout), 'line')
    expect(line).toBe('built')
    const mine = () => readdirSync('/run/netns').filter((name) => name.startsWith(`floe-natlab-${holder.pid}.`))
    expect(mine()).toHaveLength(3)
    holder.kill('SIGKILL')
    for (let i = 0; i < 50 && mine().length > 0; i++) spawnSync('sleep', ['0.1'])
    expect(mine()).toEqual([])
  })

  test('what even the reaper has left, as when both are killed, is swept before the next internet', async () => {
    // No process has this number: Linux ends at 2²².
    const dead = `floe-natlab-${2 ** 22 + 1}.1`
    const [name, folder] = [`${dead}-left`, join(tmpdir(), dead)]
    spawnSync('ip', ['netns', 'add', name])
    mkdirSync(folder, { recursive: true })
    const [command, ...args] = inNamespace(name, ['sleep', '60'])
    const left = spawn(command!, args, { stdio: 'ignore' })
    const ended = once(left, 'exit')
    while (processesIn([name]).length === 0) spawnSync('sleep', ['0.05'])
    sweep()
    expect(await ended).toEqual([null, 'SIGKILL'])
    expect(existsSync(`/run/netns/${name}`)).toBe(false)
    expect(existsSync(folder)).toBe(false)
  })
})

/** One interface with an address of each family, right on the internet. */
const BOTH = [{}, { family: 6 }] as const

function openAt(internet: Internet, probe: Probe, host: string, index: number): Promise<ProbeSocket> {
  return probe.open(internet.host(host).attachments[index]!.address)
}
