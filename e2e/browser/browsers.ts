/** Chromium and Firefox behind one small face: pages that run functions, and that call back. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser as ChromiumBrowser, chromium } from 'playwright'
import puppeteer from 'puppeteer-core'

export type BrowserName = 'chromium' | 'firefox'

export interface BrowserOptions {
  /** Give host candidates by IP address. Otherwise the browser's default: mDNS names. */
  readonly plainAddresses: boolean
  /** The page may use the microphone: Chromium shows a page that may not its default interface alone. */
  readonly everyInterface?: boolean
  /** PEM of the authority behind the certificates of a test's own TURN servers. */
  readonly authority?: string
}

export interface Browser {
  readonly name: BrowserName
  /** Opens a page in a profile of its own; `expose` are functions that the page finds on its window, kept over reloads. */
  open(url: string, expose?: Exposed): Promise<BrowserPage>
  close(): Promise<void>
}

export type Exposed = Readonly<Record<string, (...args: never[]) => unknown>>

export interface BrowserPage {
  /** Runs the function in the page, on arguments and results that JSON can carry. */
  evaluate<Args extends unknown[], Result>(run: (...args: Args) => Result, ...args: Args): Promise<Awaited<Result>>
  reload(): Promise<void>
  close(): Promise<void>
  /** Uncaught errors of the page. */
  readonly errors: readonly string[]
}

export function launch(name: BrowserName, options: BrowserOptions): Promise<Browser> {
  return name === 'chromium' ? launchChromium(options) : launchFirefox(options)
}

const EXECUTABLES = { chromium: '/usr/bin/chromium', firefox: '/usr/bin/firefox-esr' } as const

function executable(name: BrowserName): string {
  const path = EXECUTABLES[name]
  if (!existsSync(path)) throw new Error(`${path} is missing: scripts/system-packages.sh installs it`)
  return path
}

/** Playwright's own browser, for tests that want more of it than `launch()` gives. */
export function startChromium(more: readonly string[] = []): Promise<ChromiumBrowser> {
  return chromium.launch({ executablePath: executable('chromium'), args: [...CHROMIUM_ARGUMENTS, ...more] })
}

/** The sandbox wants a user other than root. The others stop Chromium from looking for Google's hosts. */
const CHROMIUM_ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

async function launchChromium({ plainAddresses, everyInterface, authority }: BrowserOptions): Promise<Browser> {
  const args: string[] = []
  if (plainAddresses) args.push('--disable-features=WebRtcHideLocalIpsWithMdns')
  // Its trust store is the user's: what a test trusts does not belong there.
  if (authority !== undefined) args.push('--ignore-certificate-errors')
  const browser = await startChromium(args)
  return {
    name: 'chromium',
    close: () => browser.close(),
    async open(url, expose = {}) {
      const context = await browser.newContext({ permissions: everyInterface ? ['microphone'] : [] })
      return drive(await context.newPage(), () => context.close(), url, expose)
    },
  }
}

const FIREFOX_PREFERENCES = {
  // Nothing of Firefox's own may look for the internet while it is tested.
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,',
}

async function launchFirefox({ plainAddresses, authority }: BrowserOptions): Promise<Browser> {
  const profile = authority === undefined ? undefined : profileThatTrusts(authority)
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: executable('firefox'),
    headless: true,
    ...(profile !== undefined && { userDataDir: profile }),
    extraPrefsFirefox: {
      ...FIREFOX_PREFERENCES,
      'media.peerconnection.ice.obfuscate_host_addresses': !plainAddresses,
    },
  })
  return {
    name: 'firefox',
    async close() {
      await browser.close()
      if (profile !== undefined) rmSync(profile, { recursive: true, force: true })
    },
    async open(url, expose = {}) {
      const context = await browser.createBrowserContext()
      return drive(await context.newPage(), () => context.close(), url, expose)
    },
  }
}

/** Firefox's WebRTC verifies a TURN server's certificate whatever the page may be allowed to ignore. */
function profileThatTrusts(authority: string): string {
  const profile = mkdtempSync(join(tmpdir(), 'floe-firefox-'))
  writeFileSync(join(profile, 'ca.pem'), authority)
  execFileSync('certutil', ['-N', '-d', `sql:${profile}`, '--empty-password'])
  execFileSync('certutil', ['-A', '-d', `sql:${profile}`, '-n', 'floe', '-t', 'C,,', '-i', join(profile, 'ca.pem')])
  return profile
}

/** What Playwright's and Puppeteer's pages have in common. */
interface DriverPage {
  on(event: 'pageerror', listener: (error: unknown) => void): unknown
  exposeFunction(name: string, exposed: (...args: never[]) => unknown): Promise<unknown>
  goto(url: string): Promise<unknown>
  reload(): Promise<unknown>
  evaluate(expression: string): Promise<unknown>
}

async function drive(page: DriverPage, close: () => Promise<void>, url: string, expose: Exposed): Promise<BrowserPage> {
  const errors: string[] = []
  page.on('pageerror', (error) => {
    // Firefox reports a connection that failed as if the page had thrown.
    if (!/^Error: WebRTC: ICE failed/.test(String(error))) errors.push(String(error))
  })
  for (const [name, exposed] of Object.entries(expose)) await page.exposeFunction(name, exposed)
  await page.goto(url)
  return {
    errors,
    evaluate: (run, ...args) => page.evaluate(`(${run})(...${JSON.stringify(args)})`) as never,
    reload: async () => void (await page.reload()),
    close,
  }
}
