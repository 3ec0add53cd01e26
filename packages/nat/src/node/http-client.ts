import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { HttpRequest, HttpResponse } from '../http.ts'
import { MAX_DOCUMENT } from '../xml.ts'

/**
 * Makes a machine's request from `localAddress`. Resolves to `undefined` when there is no response in time, none within
 * the bounds, or the signal aborts; never rejects. Redirects are responses like others: nobody follows them.
 */
export function performRequest(
  request: HttpRequest,
  localAddress: string,
  signal: AbortSignal,
): Promise<HttpResponse | undefined> {
  const { method, host, port, path, headers, body, timeout } = request
  return new Promise((resolve) => {
    const outgoing = httpRequest({
      method,
      host,
      port,
      path,
      headers,
      // Routers check that a mapping is asked for from the address that it is for.
      localAddress,
      family: host.includes(':') ? 6 : 4,
      agent: false,
      setHost: false,
      // Home routers' HTTP is sloppy about line ends and lengths; whatever comes of it is bounded below.
      insecureHTTPParser: true,
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeout)]),
    })
    const finish = (response: HttpResponse | undefined) => {
      resolve(response)
      outgoing.destroy()
    }
    outgoing.on('error', () => finish(undefined))
    outgoing.on('response', (incoming) => collect(incoming, finish))
    outgoing.end(body)
  })
}

/** `undefined`: too long, or cut off before its end. */
function collect(incoming: IncomingMessage, finish: (response: HttpResponse | undefined) => void): void {
  const chunks: Buffer[] = []
  let length = 0
  incoming.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    length += chunk.length
    if (length > MAX_DOCUMENT) finish(undefined)
  })
  incoming.on('end', () => {
    finish({ status: incoming.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') })
  })
  incoming.on('error', () => finish(undefined))
}
