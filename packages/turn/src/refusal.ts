import { NO_ANSWER } from './exchanges.ts'

/** The server's word, and what can be done about it: a sentence for whoever configured the server. */
export function explain(code: number, reason: string): string {
  const advice = ADVICE[code]
  const said = reason === '' ? 'refused' : reason
  return `${code === NO_ANSWER ? '' : `${code} `}${said}${advice === undefined ? '' : `; ${advice}`}`
}

const ADVICE: Partial<Record<number, string>> = {
  300: 'the server names no other one: configure another',
  400: 'the server does not understand the request; check that it is a TURN server of RFC 5766 or later',
  401: 'check username and credential',
  403: 'the server forbids this to the user: ask its operator, or use another server',
  420: 'the server is too old for what was asked of it',
  437: 'the server has forgotten the allocation, perhaps it was restarted: make a new one',
  438: 'the server accepts no nonce of its own: use another server',
  440: 'the server relays no addresses of this family: ask for the other one',
  441: 'the allocation belongs to other credentials: try again from a fresh local port',
  442: 'the server relays no UDP: use another server',
  486: 'the user has too many allocations: close some, or try again in a minute',
  500: 'try again later, or use another server',
  508: 'the server is full: try again in a minute, or use another server',
  [NO_ANSWER]: 'check address, port, transport and firewall of the TURN server',
}
