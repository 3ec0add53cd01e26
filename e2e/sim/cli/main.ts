import { drawScenario } from '../draw.ts'
import { explore, failureOf } from '../explore.ts'
import { shrink } from '../shrink.ts'
import { Trace } from '../trace.ts'

export async function main(args: string[]): Promise<number> {
  const opt = (name: string, other: number) => (args.includes(name) ? Number(args[args.indexOf(name) + 1]) : other)
  const plain = args.includes('--plain')
  if (args.includes('--seed')) {
    let s = drawScenario(opt('--seed', 1), plain)
    if (args.includes('--shrink')) {
      const f = failureOf(s)
      if (f) s = shrink(f).scenario
    }
    console.log(JSON.stringify(s))
    const trace = new Trace(args.includes('--trace'))
    const f = failureOf(s, { trace })
    console.log(trace.format())
    console.log(f ? f.error.message : 'ok')
    return 0
  }
  const { failures, rate, verdicts } = explore({
    from: opt('--from', 1),
    count: opt('--seeds', 1000),
    draw: (s) => drawScenario(s, plain),
  })
  const by = new Map<string, number[]>()
  for (const f of failures) by.set(f.invariant, [...(by.get(f.invariant) ?? []), f.scenario.seed])
  console.log(rate.toFixed(0), verdicts, failures.length)
  for (const [k, v] of by) console.log(k, v.length, v.slice(0, 20).join(' '))
  for (const f of failures.filter((f) => f.invariant === 'throws').slice(0, 5))
    console.log(f.scenario.seed, f.error.stack)
  return 0
}
