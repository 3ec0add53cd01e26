import { joinRoom } from '@floe/signaling'
import { randomRoomName } from '../address-bar.ts'
import '../style/index.css'
import { announce, byId, create, setText } from '../view/element.ts'
import { MAPPING_WORDS, mappingOf, type Survey, verdictOf } from './findings.ts'
import { survey } from './survey.ts'

/** The page "My network": asks the servers of this page's rooms, or those that are named, and says what came of it. */

const form = byId<HTMLFormElement>('network-form')
const urls = byId<HTMLInputElement>('network-stun')
const pill = byId('pill')
let runs = 0

form.addEventListener('submit', (event) => {
  event.preventDefault()
  void run()
})
void run()

async function run(): Promise<void> {
  const mine = ++runs
  show('busy', 'Asking the servers …')
  byId('network-results').hidden = true
  try {
    const named = urls.value.split(/[\s,]+/).filter(Boolean)
    const servers = named.length > 0 ? [{ urls: named }] : await offered()
    const found = await survey(servers)
    if (mine === runs) display(found)
  } catch (error) {
    if (mine !== runs) return
    show('bad', 'That did not work')
    setText(byId('network-verdict'), 'That did not work')
    setText(byId('network-words'), error instanceof Error ? error.message : String(error))
  }
}

/** Rooms are told of servers on joining; one that nobody knows disturbs nobody. */
async function offered(): Promise<RTCIceServer[]> {
  const room = await joinRoom(new URL('.', location.href).href, { room: `network-${randomRoomName()}` })
  const servers = [...room.iceServers] as RTCIceServer[]
  await room.leave()
  return servers
}

function display(found: Survey): void {
  const { tone, title, words } = verdictOf(found)
  show(tone, 'Done')
  setText(byId('network-verdict'), title)
  setText(byId('network-words'), words)
  announce(title)
  byId('network-results').hidden = false
  setText(byId('network-mapping'), found.servers.length === 0 ? MAPPING_WORDS.unknown : MAPPING_WORDS[mappingOf(found)])
  list('network-servers', found.servers, 'No server was asked.', ({ url, works, time }) => [
    create('span', `state ${works ? 'succeeded' : 'failed'}`, works ? 'works' : 'no answer'),
    create('code', '', url),
    ...(time === undefined ? [] : [create('span', 'hint', `${time} ms`)]),
  ])
  list(
    'network-candidates',
    found.candidates,
    'None: this browser tells nobody an address.',
    ({ type, protocol, address, port }) => [
      create('span', `type ${type}`, type),
      create('code', '', `${address.includes(':') ? `[${address}]` : address}:${port}/${protocol}`),
      create('span', 'hint', MEANING[type]),
    ],
  )
}

const MEANING = { host: 'this browser itself', srflx: 'as a server sees it', relay: 'a relay' } as const

function list<T>(id: string, items: readonly T[], none: string, parts: (item: T) => Node[]): void {
  const rows = items.map((item) => create('li', '', ...parts(item)))
  byId(id).replaceChildren(...(rows.length > 0 ? rows : [create('li', 'hint', none)]))
}

function show(tone: string, text: string): void {
  pill.dataset.tone = tone
  setText(pill, text)
}
