import { formatMilliseconds } from '../format.ts'
import { codeOf } from '../messages.ts'
import { type Phase, type Session, STEPS, type Step } from '../session.ts'
import { copyOnClick } from './copy.ts'
import { announce, byId, create, setText } from './element.ts'

export interface StatusHandlers {
  onstop(): void
  onretry(): void
  onsecret(secret: string): void
}

const PILLS: Readonly<Record<Phase, { text: string; tone: 'quiet' | 'busy' | 'good' | 'bad' }>> = {
  joining: { text: 'Connecting', tone: 'busy' },
  waiting: { text: 'Waiting', tone: 'busy' },
  connecting: { text: 'Connecting', tone: 'busy' },
  open: { text: 'Connected', tone: 'good' },
  interrupted: { text: 'Interrupted', tone: 'busy' },
  ended: { text: 'Ended', tone: 'quiet' },
  failed: { text: 'Failed', tone: 'bad' },
}

const STEP_NAMES: Readonly<Record<Step, string>> = {
  room: 'In the room',
  peer: 'Other side is there',
  introduced: 'Keys exchanged',
  channel: 'Encrypted channel open',
  path: 'Path found',
}

/** Where the session stands, in words, with the steps that led there and what can be done now. */
export class StatusView {
  readonly #section = byId('status')
  readonly #title = byId('status-title')
  readonly #detail = byId('status-detail')
  readonly #advice = byId('status-advice')
  readonly #pill = byId('pill')
  readonly #retry = byId<HTMLButtonElement>('status-retry')
  readonly #stop = byId<HTMLButtonElement>('status-stop')
  readonly #secretForm = byId<HTMLFormElement>('secret-form')
  readonly #secret = byId<HTMLInputElement>('secret-again')
  readonly #invite = byId('invite')
  readonly #link = byId<HTMLInputElement>('invite-link')
  readonly #steps = byId('steps')
  readonly #items = new Map<Step, { item: HTMLElement; time: HTMLElement }>()

  constructor(handlers: StatusHandlers) {
    this.#stop.addEventListener('click', handlers.onstop)
    this.#retry.addEventListener('click', handlers.onretry)
    this.#secretForm.addEventListener('submit', (event) => {
      event.preventDefault()
      handlers.onsecret(this.#secret.value)
      this.#secret.value = ''
    })
    this.#link.addEventListener('focus', () => this.#link.select())
    copyOnClick(byId<HTMLButtonElement>('invite-copy'), () => this.#link.value)
    for (const step of STEPS) {
      const time = create('span', 'step-time')
      const item = create('li', '', create('span', 'step-name', STEP_NAMES[step]), time)
      this.#steps.append(item)
      this.#items.set(step, { item, time })
    }
  }

  /** Shows the session, or nothing before there is one. `link` invites somebody else, where that makes sense. */
  update(session: Session | undefined, link: string | undefined): void {
    this.#section.hidden = session === undefined
    const pill = session ? PILLS[session.phase] : { text: 'Not connected', tone: 'quiet' }
    setText(this.#pill, pill.text)
    this.#pill.dataset.tone = pill.tone
    if (!session) return
    const { title, detail, advice } = wordsFor(session)
    if (this.#title.textContent !== title) announce(`${title}. ${detail}`)
    setText(this.#title, title)
    setText(this.#detail, detail)
    setText(this.#advice, advice ?? '')
    this.#advice.hidden = !advice
    const over = session.phase === 'failed' || session.phase === 'ended'
    this.#section.dataset.phase = session.phase
    this.#retry.hidden = !over && !(session.phase === 'waiting' && session.explanation)
    setText(this.#stop, over ? 'Back to the start' : session.phase === 'open' ? 'Disconnect' : 'Cancel')
    this.#secretForm.hidden = codeOf(session.error) !== 'ERR_SIGNALING_SECRET'
    this.#invite.hidden = !(session.phase === 'waiting' && link)
    if (link) {
      this.#link.value = link
      byId<HTMLAnchorElement>('invite-open').href = link
    }
    this.#updateSteps(session, over)
  }

  /** After the button that had the focus is gone. */
  focus(): void {
    this.#title.focus()
  }

  #updateSteps(session: Session, over: boolean): void {
    const next = STEPS.find((step) => !session.steps.has(step))
    let before = 0
    for (const [step, { item, time }] of this.#items) {
      const at = session.steps.get(step)
      item.className = at !== undefined ? 'done' : step === next ? (over ? 'stuck' : 'current') : ''
      if (step === next && !over) item.setAttribute('aria-current', 'step')
      else item.removeAttribute('aria-current')
      setText(time, at === undefined ? '' : `+${formatMilliseconds(at - before)}`)
      before = at ?? before
    }
  }
}

function wordsFor(session: Session): { title: string; detail: string; advice?: string } {
  const { phase, options, steps, explanation } = session
  if (explanation) {
    const waiting = phase === 'waiting' ? 'Waiting for it in the same room.' : undefined
    return { title: explanation.title, detail: explanation.why, advice: waiting ?? explanation.advice }
  }
  const other = session.peer?.agent === 'node' ? 'the Node peer' : 'the other browser'
  switch (phase) {
    case 'joining':
      return { title: 'Reaching the server', detail: `Joining the room ${options.room}.` }
    case 'waiting':
      return options.expects === 'node'
        ? { title: 'Waiting for the Node peer', detail: 'It comes into the room by itself.' }
        : {
            title: 'Waiting for the other side',
            detail: 'As soon as the link is open somewhere else, the two connect.',
          }
    case 'connecting':
      return { title: 'Looking for a path', detail: `Trying every way from here to ${other}.` }
    case 'interrupted':
      return { title: 'The path is interrupted', detail: 'Looking for another one. What you send now arrives later.' }
    case 'open':
      if (session.connection?.path === 'relay') {
        const detail = 'Words go through the server, which cannot read them, while a direct path is looked for.'
        return { title: `Connected to ${other}`, detail }
      }
      return { title: `Connected to ${other}`, detail: `It took ${tookFor(steps)}. Room ${options.room}.` }
    default:
      return { title: 'The connection has ended', detail: 'You can connect again.' }
  }
}

function tookFor(steps: ReadonlyMap<Step, number>): string {
  return formatMilliseconds((steps.get('channel') ?? 0) - (steps.get('peer') ?? 0))
}
