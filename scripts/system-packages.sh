#!/usr/bin/env bash
# The Debian packages that the full test run needs beside Node: browsers, and the tools of a test network.
# Idempotent, and silent when nothing is missing. Without root it names what is missing and exits with 1.
set -euo pipefail

packages=(
  chromium    # e2e/browser, through Playwright
  firefox-esr # e2e/browser, through WebDriver BiDi
  iproute2    # the private network namespace of a test run
  nftables    # NATs and firewalls between namespaces
  conntrack   # to look at a kernel NAT's table, and to empty it
  python3     # the delay line of e2e/natlab: Node itself opens no TUN device
  tayga       # NAT64, in e2e/natlab and for packages/nat
  unbound     # the DNS64 beside it
  tcpdump     # npm run natlab -- … --pcap
  coturn      # a STUN and TURN server that somebody else wrote
  openssl     # certificates for the tests of TLS
  libnss3-tools # certutil, which makes Firefox trust them
  tinyproxy   # an HTTP proxy with CONNECT
  microsocks  # a SOCKS5 proxy
  redis-server # several signaling servers as one
  miniupnpd-nftables # a router's PCP, NAT-PMP and UPnP, which packages/nat asks for mappings
  miniupnpc   # upnpc, which lists them
  natpmpc     # the same by NAT-PMP
)

missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

if ((EUID != 0)); then
  echo "system-packages: missing ${missing[*]}; as root: apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

echo "system-packages: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# Packages that start a service (coturn) must not: the tests bring up their own on their own ports.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
log=$(mktemp)
install() { # apt itself waits for another apt-get that holds the lock, rather than failing
  { apt-get -qq -o DPkg::Lock::Timeout=300 update &&
    apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null
}
if ! install; then
  tail -n 30 "$log" >&2
  echo "system-packages: apt-get failed, its log is $log" >&2
  exit 1
fi
rm -f "$log"
