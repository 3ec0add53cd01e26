export const HELP = `npm run sim: two agents in an internet made of virtual time, one random network per seed.

Usage
  npm run sim -- [--seeds N] [--from N] [--plain | --faults]  explore: judge N seeds, from 1 on, 1000 by default
  npm run sim -- --seed N [--plain] [--trace]         one of them: its network, and what becomes of it
  npm run sim -- --replay FILE [--trace]              a scenario out of a file, such as one of e2e/sim/corpus

Options
  --plain    nothing breaks on the way: no reboots, no dying links, no restarts
  --trace    every packet, translation, drop and decision, one line each, in order of virtual time
  --faults   paths break in turn while two peers talk: none may be felt for longer than its bound, without a restart
  --shrink   a failure is made as small as it can be while it still fails in the same way, and printed as JSON
  --keep     the same, and kept in e2e/sim/corpus, which 'npm test' replays from then on
  --help     this

A scenario is data (e2e/topology/scenario.ts): where two hosts stand, what NATs and firewalls are before them, how bad
the wires are, which servers there are, what breaks when. A seed stands for one, and for every loss and every port in it,
so that it runs the same each time, here and elsewhere. What must hold in it (e2e/sim/invariants.ts, runner.ts):

  unconnected, unrecovered   who can meet does in time, and again after what has broken
  impossible, undecided      nobody meets where there is no way, and both ends say so
  agreement                  both ends use the same path: shown by data
  direct, best pair          no relay where there is a direct path, nothing worse where something better works
  recovery                   with --faults: silent death, data holes, interfaces, NATs and relays (e2e/sim/recovery.ts)
  flapping                   with --faults: nor does data move time and again
  interrupted                data does not stop for what touches no path
  priorities, states, roles  RFC 8445's formula; W3C's order of states; two controlling ends do not stay so
  unverified                 who has never answered is not flooded
  quiet                      no timer and no packet after close
  throws                     nothing throws

Examples
  npm run sim -- --seeds 20000                        what a release must stand, in a minute or two
  npm run sim -- --seed 1433 --trace | less           what happened there
  npm run sim -- --seed 1433 --keep                   found a bug? keep it, say in its "why" what must hold
  npm run sim -- --replay e2e/sim/corpus/relay-forgets-everything.json --trace

Exit codes
  0  all holds      1  something did not hold      2  wrong usage
`
