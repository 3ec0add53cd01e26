/** An HTTP/1.1 request that a driver makes for a machine: no redirects, no cookies, one connection. */
export interface HttpRequest {
  /** For `handleResponse`. */
  readonly id: number
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** How long the machine waits for the response, in milliseconds: a later one is of no use to anybody. */
  readonly timeout: number
  /** Length of a body in bytes beyond which the response counts as none. */
  readonly maxLength: number
}

export interface HttpResponse {
  readonly status: number
  /** Decoded as UTF-8. */
  readonly body: string
}
