import type { Exchange, FileSource, IncomingFile } from '@floe/exchange'
import { DECLINED, explainTransfer } from './messages.ts'

/** `offered`: waits for a yes, theirs or ours. `checking`: everything is sent, the other side compares checksums. */
export type TransferState = 'offered' | 'moving' | 'checking' | 'done' | 'failed'

/** A file on its way, in either direction. Fires `change`. */
export class Transfer extends EventTarget {
  readonly direction: 'out' | 'in'
  readonly name: string
  /** Bytes. */
  readonly size: number
  state: TransferState = 'offered'
  /** Bytes moved so far. */
  moved = 0
  /** Hexadecimal SHA-256, equal at both ends, when `done`. */
  sha256: string | undefined
  /** Where a received file can be had, when `done`. */
  url: string | undefined
  /** Why it failed. */
  problem: string | undefined
  /** `performance.now()` when the first and the latest bytes moved. */
  #began = 0
  #latest = 0
  /** Ends it, at both sides. */
  cancel: () => void = () => {}
  /** Says yes to an offer of the other side. */
  accept: (() => void) | undefined

  constructor(direction: 'out' | 'in', name: string, size: number) {
    super()
    this.direction = direction
    this.name = name
    this.size = size
  }

  /** Bytes per second so far. */
  get rate(): number {
    const ms = this.#latest - this.#began
    return ms > 0 ? (this.moved * 1000) / ms : 0
  }

  start(): void {
    this.#began = performance.now()
    this.#enter('moving')
  }

  moveTo(bytes: number): void {
    if (this.state === 'offered') this.start()
    this.moved = bytes
    this.#latest = performance.now()
    this.#enter(this.direction === 'out' && bytes === this.size ? 'checking' : 'moving')
  }

  finish(sha256: string, url?: string): void {
    this.sha256 = sha256
    this.url = url
    this.moved = this.size
    this.#enter('done')
  }

  fail(error: unknown): void {
    this.problem = explainTransfer(error)
    this.#enter('failed')
  }

  #enter(state: TransferState): void {
    this.state = state
    this.dispatchEvent(new Event('change'))
  }
}

export function sendFile(exchange: Exchange, file: File): Transfer {
  const transfer = new Transfer('out', file.name, file.size)
  const abort = new AbortController()
  transfer.cancel = () => abort.abort()
  const source: FileSource = { name: file.name, size: file.size, type: file.type, stream: () => read(file) }
  exchange
    .sendFile(source, { signal: abort.signal, onprogress: (bytes) => transfer.moveTo(bytes) })
    .then(({ sha256 }) => transfer.finish(sha256))
    .catch((error) => transfer.fail(error))
  return transfer
}

/** An offer: nothing moves until `transfer.accept()`. */
export function receiveFile(incoming: IncomingFile): Transfer {
  const transfer = new Transfer('in', incoming.name, incoming.size)
  transfer.cancel = () => incoming.reject(transfer.state === 'offered' ? DECLINED : 'cancelled by the receiver')
  transfer.accept = () => {
    transfer.accept = undefined
    transfer.start()
    incoming.accept()
    collect(incoming, transfer)
      .then(async (url) => transfer.finish(await incoming.sha256, url))
      .catch((error) => transfer.fail(error))
  }
  incoming.sha256.catch((error) => transfer.fail(error))
  return transfer
}

/** Bytes that are gathered before the browser gets them as a blob, which it may keep on disk. */
const BLOB_PART = 4 * 1024 * 1024

async function collect(incoming: IncomingFile, transfer: Transfer): Promise<string> {
  const blobs: Blob[] = []
  let parts: Uint8Array<ArrayBuffer>[] = []
  let gathered = 0
  let moved = 0
  for await (const chunk of incoming.chunks) {
    parts.push(chunk as Uint8Array<ArrayBuffer>)
    gathered += chunk.length
    moved += chunk.length
    transfer.moveTo(moved)
    if (gathered < BLOB_PART) continue
    blobs.push(new Blob(parts))
    parts = []
    gathered = 0
  }
  // Never the sender's media type: a page that opens under this origin could do what this page can.
  return URL.createObjectURL(new Blob([...blobs, ...parts], { type: 'application/octet-stream' }))
}

/** Not every browser iterates over a `ReadableStream` by itself. */
async function* read(file: File): AsyncGenerator<Uint8Array> {
  const reader = file.stream().getReader()
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
  } finally {
    await reader.cancel()
  }
}
