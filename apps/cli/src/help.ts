export const HELP = `floe: browsers and Node talk to each other directly, over ICE.

Usage
  floe serve [options]          the meeting point: signaling, a demo page, and a Node peer that echoes
  floe connect ROOM [options]   talk to whoever is in a room: a browser tab or another terminal
  floe doctor [options]         what this network does to connections, and what works in it
  floe --help | --version       'floe serve --help', 'floe connect --help' and 'floe doctor --help' tell more

Two minutes
  1. floe serve                                       then open the address that it prints
  2. floe connect echo-me                             in another terminal: type, and hear the echo
  3. floe connect den --receive .                     and in a third one:
     echo hello | floe connect den --send photo.jpg   text and a file, from one terminal to the other

Exit codes
  0  done                              5  no connection to the peer, or it was lost
  1  failed unexpectedly               6  a file did not get through
  2  wrong usage                       7  no TURN server
  3  no signaling server, or refused   8  floe doctor: some or all connections will be relayed
  4  nobody came in time               130  interrupted (Ctrl-C)
`

export const SERVE_HELP = `floe serve: the meeting point, in one process: signaling server, demo page and echo peer.

Usage
  floe serve [options]

Options
  --port PORT      TCP port, default 3000; 0 takes a free one
  --host ADDRESS   where to listen, default 127.0.0.1: this machine only; 0.0.0.0 opens it to the network
  --secret SECRET  demanded from everyone who joins a room; default: who opens a room decides
  --stun URL       STUN server for everybody in the rooms, such as stun:stun.example.org:3478; may be repeated
  --stun-port PORT its own STUN server's UDP port, default 3478; 0 takes a free one, 'none' runs none. Left out where
                   it is of no use: on 127.0.0.1, or beside --stun and --turn. With a second IPv4 address on the same
                   interface it also tells peers how their NAT filters (RFC 5780, UDP 3479 too)
  --stun-host NAME how clients name it, default: the address where it listens
  --json           one JSON object per line on stdout

Relays, for peers that cannot reach each other directly
  --turn                  runs a TURN server (coturn, which must be installed) where floe listens; on 127.0.0.1 it
                          serves Chromium and terminals, Firefox wants it at an address of the network: --host
  --turn-port PORT        its UDP and TCP port, default 3478; 0 takes a free one
  --turn-ports MIN-MAX    UDP ports of the relayed addresses, default 49152-65535
  --turn-host NAME        how clients name it, default: the address where it listens
  --turn-cert FILE, --turn-key FILE
                          PEM: it speaks TLS too, for networks that let nothing else out. The certificate must be for
                          what clients call it, and of an authority that they trust
  --turn-tls-port PORT    for TLS, default 5349; 443 passes most firewalls
  --external-ip ADDRESS   the public address of this machine, when a cloud maps it to a private one
  --turn-server URL       TURN servers of yours instead; may be repeated. They know this secret (use-auth-secret):
  --turn-secret SECRET    shared with the TURN server, or FLOE_TURN_SECRET in the environment; with --turn a random one
  --turn-lifetime SECONDS how long credentials are good, default 43200. Peers get new ones while they are in a room

In any room whose name begins with 'echo-' a Node peer answers: it echoes what you say; a file it receives, it reports
with its SHA-256 and sends back. All other rooms are for you and whoever knows their name.

Examples
  floe serve                                    this machine only: http://127.0.0.1:3000
  floe serve --port 8080                        when 3000 is taken
  floe serve --host 0.0.0.0 --secret swordfish  for the whole network; give people the secret
  floe serve --turn                             with a relay: try the demo's 'relay only', or connect --relay-only
  floe serve --host 0.0.0.0 --secret swordfish --turn --turn-ports 50000-50999 --external-ip 203.0.113.7
                                                on a machine in a cloud; open UDP and TCP 3478, UDP 50000-50999
  FLOE_TURN_SECRET=… floe serve --turn-server 'turns:turn.example.org:443?transport=tcp'
                                                with a coturn of yours, see docs/turn.md
  curl http://127.0.0.1:3000/healthz            how it is doing

Ctrl-C stops it, exit code 0. Without coturn, --turn says how to install it, exit code 7.
`

export const CONNECT_HELP = `floe connect: chat and files with whoever is in a room, from the terminal.

Usage
  floe connect ROOM [options]

Options
  --server URL     the signaling server, default http://127.0.0.1:3000 (what 'floe serve' prints)
  --secret SECRET  the room's secret: the first in the room sets it, the others need it
  --key KEY        what you and the other side know and the server does not: at least 22 characters that nobody guesses.
                   With it even the server cannot come between you
  --send FILE      send a file; may be repeated
  --receive DIR    take files and put them there; never overwrites
  --max-size SIZE  largest file to take, such as 500M or 2G; default 1G
  --stun URL       STUN server, such as stun:stun.example.org:3478; may be repeated
  --turn-server URL, --turn-username NAME, --turn-credential SECRET
                   TURN server, such as turn:turn.example.org?transport=tcp; the URL may be repeated
  --relay-only     go through a TURN server only: the peer does not learn our address
  --no-port-mapping  do not ask the router to let peers in (PCP, NAT-PMP, UPnP), which it does while we are connected
  --wait SECONDS   how long to wait for a peer; default: as long as it takes
  --linger SECONDS how much silence ends it when our input has ended and our files are sent; default 2,
                   with --receive: stay until the peer hangs up
  --json           one JSON object per line on stdout, see below

STUN and TURN servers come from the room. Those that are named here are used in place of them.

On a terminal, type to talk; '/send FILE' sends a file, '/quit' or Ctrl-D hangs up. When stdin is not a terminal, each
of its lines is one message. What the peer says goes to stdout, everything else to stderr.

Examples
  floe connect echo-me                                   a Node peer that echoes
  floe connect den                                       whoever comes: a browser, another terminal
  floe connect den --send film.mp4 < /dev/null           sends a file and hangs up
  floe connect den --receive ~/inbox < /dev/null         takes files until the peer hangs up
  make 2>&1 | floe connect den                           a build log, live, in somebody's browser
  floe connect echo-me --send photo.jpg --receive /tmp --linger 1 < /dev/null   there and back again
  floe connect echo-me --relay-only                      through the relay of 'floe serve --turn'
  floe connect den --json < /dev/null | jq .event        joined, peer, connected, message, progress, file, closed, error

Exit codes
  0  done                              5  no connection to the peer, or it was lost
  1  failed unexpectedly               6  a file did not get through: refused, corrupt or cut off
  2  wrong usage                       7  --relay-only, and no TURN server
  3  no signaling server, or refused   130  interrupted (Ctrl-C)
  4  nobody came in time (--wait)
`

export const DOCTOR_HELP = `floe doctor: what this network does to connections, and what works in it.

Usage
  floe doctor [options]

Options
  --stun URL       STUN server, such as stun:stun.example.org:3478; may be repeated. Two on different addresses tell what
                   kind of NAT there is; one with two addresses, such as floe serve runs, tells how it filters
  --turn-server URL, --turn-username NAME, --turn-credential SECRET
                   TURN server; the URL may be repeated. Each is tried: a connection of ours through it to ourselves
  --server URL     a signaling server: the servers that its rooms offer are asked too
  --secret SECRET  of its rooms
  --no-port-mapping  do not ask the router whether it maps ports (PCP, NAT-PMP, UPnP)
  --json           one JSON object per line on stdout: event 'findings' has everything

Nobody is asked but the servers named, this network's router and its DNS server. Takes ten seconds at most.

Examples
  floe doctor --stun stun:stun.example.org --stun stun:stun.example.net
  floe doctor --server http://127.0.0.1:3000             what the demo and 'floe connect' would use
  floe doctor --json --stun stun:stun.example.org | jq 'select(.event == "findings").verdict'

Verdicts and exit codes
  0  open: whoever is told our address gets in; direct: with most peers; unknown: no server was named
  5  stuck: there is no way out, or a relay is needed and there is none
  8  hard: direct with some peers, relayed with others; relay-only
  2  wrong usage    3  no signaling server, or refused    130  interrupted (Ctrl-C)
`
