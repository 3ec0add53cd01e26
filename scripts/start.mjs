/** `npm start`: installs and builds what is missing or out of date, then runs `floe serve` with the arguments given. */
// What Vite asks for.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`floe needs Node 20.19 or later, and this is ${process.version}.`)
  process.exit(1)
}

// Imported once that is known: an older Node would fail with an error that tells less.
const { prepare } = await import('./prepare.mjs')
prepare()
// A computed path: the command line is built by now, and nothing else of it is known here.
const { main } = await import(new URL('../apps/cli/dist/main.js', import.meta.url).href)
process.exitCode = await main(['serve', ...process.argv.slice(2)])
