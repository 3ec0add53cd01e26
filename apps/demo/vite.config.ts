import { join } from 'node:path'
import { defineConfig } from 'vite'

/** Where `npm run dev -w @floe/demo` finds a running `floe serve`. */
const server = process.env.FLOE_SERVER ?? 'http://127.0.0.1:3000'

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  resolve: { conditions: ['floe:source', 'browser', 'module', 'import', 'default'] },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    rollupOptions: { input: ['index.html', 'network.html'].map((page) => join(import.meta.dirname, page)) },
  },
  server: { proxy: { '/socket.io': { target: server, ws: true } } },
})
