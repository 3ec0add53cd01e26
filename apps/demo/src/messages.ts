/** Everything that can go wrong, in plain words: what happened, why, and what to do. */

export interface Explanation {
  readonly title: string
  readonly why: string
  readonly advice: string
}

/** The bye to a third visitor. */
export const BUSY = 'busy with somebody else'

/** What somebody who is not an engineer needs to know of a failure. `code` is the error's, see {@link EXPLANATIONS}. */
export function explain(error: unknown): Explanation {
  const code = codeOf(error)
  const message = error instanceof Error ? error.message : String(error)
  if (code === 'ERR_CONNECT_PEER_LEFT' && message.includes(BUSY)) return OTHER_SIDE_BUSY
  const known = EXPLANATIONS[code]
  if (known) return known
  const hint = error instanceof Error && 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined
  return {
    title: 'That did not work',
    why: message,
    advice:
      hint ?? 'Try again. If it stays like this, copy the diagnostics below and send them to whoever runs this page.',
  }
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

const OTHER_SIDE_BUSY: Explanation = {
  title: 'The other side is busy',
  why: 'It is connected to somebody else, and this page connects two at a time.',
  advice: 'Try again when the other visitor has left, or open a room of your own.',
}

const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  ERR_SIGNALING_UNREACHABLE: {
    title: 'The server cannot be reached',
    why: 'This page asks its server to introduce the two sides, and the server does not answer.',
    advice: 'Check that “floe serve” is still running and that you are online, then try again.',
  },
  ERR_SIGNALING_TIMEOUT: {
    title: 'The server takes too long',
    why: 'Something answers at this address, but it does not speak the way our server does.',
    advice: 'Check that the page was opened at the address that “floe serve” printed, then try again.',
  },
  ERR_SIGNALING_SECRET: {
    title: 'This room needs its secret',
    why: 'The secret that was given, if any, is not the one of this room.',
    advice: 'Ask whoever opened the room, or runs the server, for the secret or for the whole link.',
  },
  ERR_SIGNALING_ROOM_FULL: {
    title: 'The room is full',
    why: 'As many peers as the server allows are in this room already.',
    advice: 'Close one of the other tabs, or start over with a new room.',
  },
  ERR_SIGNALING_SERVER_FULL: {
    title: 'The server is full',
    why: 'It carries as many rooms or connections as it allows.',
    advice: 'Try again in a few minutes.',
  },
  ERR_SIGNALING_ARGUMENT: {
    title: 'That room name does not work',
    why: 'A room name has up to 64 letters, digits, dots, underscores, tildes and dashes.',
    advice: 'Choose another name, or copy the whole link once more.',
  },
  ERR_SIGNALING_VERSION: {
    title: 'This page is out of date',
    why: 'The page and its server come from different versions of floe.',
    advice: 'Reload the page.',
  },
  ERR_SIGNALING_RATE: {
    title: 'Too many attempts',
    why: 'The server slows down whoever sends too much.',
    advice: 'Wait a moment, then try again.',
  },
  ERR_SIGNALING_REPLACED: {
    title: 'Replaced by another session',
    why: 'The same browser session joined the room once more.',
    advice: 'Go on in the other tab, or try again here.',
  },
  ERR_SIGNALING_STOPPED: {
    title: 'The server was stopped',
    why: 'It said goodbye before the two sides had found each other.',
    advice: 'Start “floe serve” again, then try again.',
  },
  ERR_SIGNALING_CLOSED: {
    title: 'The connection to the server is lost',
    why: 'It broke and could not be restored before the two sides had found each other.',
    advice: 'Check your network, then try again.',
  },
  ERR_CONNECT_TIMEOUT: {
    title: 'It took too long',
    why: 'The other side is in the room, but no connection came up in time.',
    advice: 'Try again. If it happens again, try another network: one side may be behind a strict firewall.',
  },
  ERR_CONNECT_FAILED: {
    title: 'No path between the two sides',
    why: 'Every pair of addresses was tried, and none carried data. A firewall or a VPN on one side usually is the reason.',
    advice:
      'Turn off the VPN, or try another network. A relay gets through nearly everywhere: “floe serve --turn” brings one.',
  },
  ERR_CONNECT_PEER_LEFT: {
    title: 'The other side left',
    why: 'It closed the page, stopped, or hung up.',
    advice: 'Try again when it is back.',
  },
  ERR_CONNECT_SIGNALING: {
    title: 'The introduction failed',
    why: 'What the other side sent over the server could not be understood or delivered.',
    advice: 'Reload the page on both sides and try again.',
  },
  ERR_CONNECT_UNAUTHENTICATED: {
    title: 'The other side is not who it claims to be',
    why: 'It could not prove that it holds the key of the certificate it presented. Nothing was sent to it.',
    advice: 'Do not go on with this peer. Check who else may be in the room, then use a new room with a secret.',
  },
  NO_NODE_PEER: {
    title: 'No Node peer came',
    why: 'The server is there, but no Node process joined the room.',
    advice: 'Check that the server was started with “floe serve”: it brings the Node peer along. Then try again.',
  },
  NO_RELAY: {
    title: 'There is no relay',
    why: 'Nothing but a relay was to be used, and the server of this page offers none.',
    advice: 'Start it with “floe serve --turn”, or connect without “Through a relay only”.',
  },
  NO_WEBRTC: {
    title: 'This browser has no WebRTC',
    why: 'It is too old, or WebRTC is switched off in its settings or by an extension.',
    advice: 'Switch WebRTC on, or use a current Chrome, Edge, Firefox or Safari.',
  },
}

/** Codes of this page's own failures, see {@link EXPLANATIONS}. */
export class DemoError extends Error {
  readonly code: 'NO_NODE_PEER' | 'NO_RELAY' | 'NO_WEBRTC'
  constructor(code: DemoError['code']) {
    super(code)
    this.code = code
  }
}

/** The reason that is given for saying no to an offered file. */
export const DECLINED = 'declined'

/** Why a transfer ended early, in a few words. */
export function explainTransfer(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  switch (codeOf(error)) {
    case 'ERR_EXCHANGE_REJECTED':
      return message === DECLINED ? 'The other side declined it' : `The other side stopped it: ${message}`
    case 'ERR_EXCHANGE_CANCELLED':
      if (message.startsWith('the sender')) return 'The other side cancelled it'
      return message === DECLINED ? 'Declined' : 'Cancelled'
    case 'ERR_EXCHANGE_CORRUPT':
      return 'Damaged on the way: the checksum is wrong, so it was thrown away'
    case 'ERR_EXCHANGE_CLOSED':
      return 'The connection ended first'
    case 'ERR_EXCHANGE_SOURCE':
      return `Could not be read: ${message}`
    default:
      return message
  }
}
