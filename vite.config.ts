import { defineConfig } from 'vitest/config'

/** Workspaces resolve to their TypeScript sources, so that neither tests nor the demo need a build first. */
const conditions = ['floe:source']

/** Real peers live in real time: their tests start when the quick ones are done, one file after the other. */
const realTime = { hookTimeout: 60_000, fileParallelism: false, sequence: { groupOrder: 1 } }

export default defineConfig({
  root: import.meta.dirname,
  resolve: { conditions: [...conditions, 'browser', 'module', 'import', 'default'] },
  test: {
    projects: [
      project('unit', [
        'packages/*/test/**/*.test.ts',
        'signaling/test/**/*.test.ts',
        'apps/*/test/**/*.test.ts',
        'e2e/*.test.ts',
        'scripts/*.test.mjs',
      ]),
      // Bounded in seeds and virtual time: how long that takes is the machine's affair.
      project('sim', ['e2e/sim/**/*.test.ts'], { testTimeout: 60_000 }),
      project('browser', ['e2e/browser/**/*.test.ts', 'e2e/demo/**/*.test.ts'], { ...realTime, testTimeout: 60_000 }),
      project('natlab', ['e2e/natlab/**/*.test.ts'], { ...realTime, testTimeout: 60_000 }),
      project('interop', ['e2e/interop/**/*.test.ts'], { ...realTime, testTimeout: 30_000 }),
    ],
  },
})

function project(name: string, include: string[], more: object = {}) {
  return {
    resolve: { conditions },
    ssr: {
      resolve: {
        // Not 'import': vitest hands these to Node too, where require() of a CommonJS dependency would then find ES modules.
        conditions: [...conditions, 'node'],
        externalConditions: ['node', 'import', 'default'],
      },
    },
    // What is polled for comes soon as a rule; on a machine that is busy with other things it may take a while.
    test: { name, include, expect: { poll: { timeout: 10_000 } }, ...more },
  }
}
