/** The room in the URL's fragment, which browsers do not send to any server. */
export interface Invitation {
  readonly room: string
  readonly secret?: string
  readonly stun?: string
  /** Ours alone: nobody else has to go through a relay because we want to. */
  readonly relayOnly?: boolean
}

export function readInvitation(hash: string): Invitation | undefined {
  const fields = new URLSearchParams(hash.replace(/^#/, ''))
  const [room, secret, stun] = [fields.get('room'), fields.get('secret'), fields.get('stun')]
  if (!room) return undefined
  const relayOnly = fields.get('relay') === 'only'
  return { room, ...(secret ? { secret } : {}), ...(stun ? { stun } : {}), ...(relayOnly ? { relayOnly } : {}) }
}

export function writeInvitation({ relayOnly, ...fields }: Invitation): string {
  return `#${new URLSearchParams({ ...fields, ...(relayOnly ? { relay: 'only' } : {}) })}`
}

/** Ten characters of 32, none of which looks like another: 50 bits, not to be guessed by visiting rooms. */
export function randomRoomName(): string {
  const alphabet = 'abcdefghjkmnpqrstuvwxyz023456789'
  return [...crypto.getRandomValues(new Uint8Array(10))].map((byte) => alphabet[byte % 32]).join('')
}
