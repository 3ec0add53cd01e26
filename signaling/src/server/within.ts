/** What `promise` gives, unless that takes longer than this, in ms: then it fails with the error that `late` makes. */
export async function within<Value>(
  milliseconds: number,
  promise: Value | PromiseLike<Value>,
  late: () => unknown,
): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(late()), milliseconds)
  })
  try {
    return await Promise.race([promise, deadline])
  } finally {
    clearTimeout(timer)
  }
}
