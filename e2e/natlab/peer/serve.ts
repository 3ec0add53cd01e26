/** The other end of remote.ts, inside a program: methods are called, events go out. */

export interface Call {
  readonly id: number
  readonly method: string
  readonly args: readonly unknown[]
}

export type Answer =
  | { readonly id: number; readonly result?: unknown }
  | { readonly id: number; readonly error: string }
  | { readonly event: unknown }

type Methods = Readonly<Record<string, (...args: never[]) => unknown>>

/** Answers calls until the lab is gone, and this process with it. */
export function serve(methods: Methods): void {
  process.on('message', ({ id, method, args }: Call) => {
    answer(methods, method, args).then(
      (result) => say({ id, result }),
      (error) => say({ id, error: String(error?.stack ?? error) }),
    )
  })
  process.on('disconnect', () => process.exit())
}

export function emit(event: unknown): void {
  say({ event })
}

function say(message: Answer): void {
  if (process.connected) process.send!(message)
}

async function answer(methods: Methods, method: string, args: readonly unknown[]): Promise<unknown> {
  if (method === 'ready') return undefined
  const run = methods[method]
  if (!run) throw new TypeError(`no method ${method}`)
  return run(...(args as never[]))
}
