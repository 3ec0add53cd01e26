import { byId } from './element.ts'

/** What the fields of the start page say; each may be left empty. */
export interface Extras {
  readonly secret?: string
  readonly stun?: string
  readonly relayOnly?: boolean
}

export interface StartHandlers {
  onnode(extras: Extras): void
  ontabs(extras: Extras): void
  onroom(room: string, extras: Extras): void
}

/** The page before anything is chosen. */
export class StartView {
  readonly #section = byId('start')

  constructor(handlers: StartHandlers) {
    byId('start-node').addEventListener('click', () => handlers.onnode(extras()))
    byId('start-tabs').addEventListener('click', () => handlers.ontabs(extras()))
    byId('room-form').addEventListener('submit', (event) => {
      event.preventDefault()
      handlers.onroom(fieldText('room-name'), extras())
    })
  }

  set hidden(hidden: boolean) {
    this.#section.hidden = hidden
  }
}

function extras(): Extras {
  const [secret, stun] = [fieldText('room-secret'), fieldText('room-stun')]
  const relayOnly = byId<HTMLInputElement>('room-relay').checked
  return { ...(secret ? { secret } : {}), ...(stun ? { stun } : {}), ...(relayOnly ? { relayOnly } : {}) }
}

function fieldText(id: string): string {
  return byId<HTMLInputElement>(id).value.trim()
}
