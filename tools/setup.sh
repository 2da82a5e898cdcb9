#!/bin/sh
# Sets up what Gantry needs and does not find: Node 24, npm packages, the host's container tools, the bundle.
# Idempotent; prints what it does (nothing with --quiet when there is nothing to do).
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
say() { printf '%s\n' "gantry setup: $*" >&2; }

mkdir -p .gantry

# 1. Node >= 24: the system's when it is new enough, otherwise from the npm package of the same name.
node_ok() { [ -x "$1" ] && [ "$("$1" -p 'Number(process.versions.node.split(".")[0]) >= 24' 2>/dev/null)" = true ]; }
if ! node_ok .gantry/node; then
  rm -f .gantry/node
  system=$(command -v node || true)
  if [ -n "$system" ] && node_ok "$system"; then
    ln -s "$(readlink -f "$system")" .gantry/node
  else
    command -v npm >/dev/null || { say "needs Node >= 24, or npm to get it: install Node's npm (Debian: apt-get install npm) and run this again"; exit 1; }
    case $(uname -m) in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; *) say "no Node 24 package is known for $(uname -m): install Node >= 24 and run this again"; exit 1 ;; esac
    say "fetching Node 24 (npm package node-linux-$arch)"
    npm install --prefix .gantry/toolchain --ignore-scripts --no-audit --no-fund --loglevel=error "node-linux-$arch@24" >&2
    ln -s "toolchain/node_modules/node-linux-$arch/bin/node" .gantry/node
  fi
fi
PATH=$root/.gantry:$PATH
export PATH

# 2. npm packages, under that Node: an older npm host silently picks older versions.
if [ ! -f .gantry/packages ] || ! cmp -s package-lock.json .gantry/packages; then
  npm_cli=$(readlink -f "$(command -v npm)")
  say "installing npm packages"
  # install, not ci: ci refuses when a registry does not carry every platform's optional binary. Versions are the lock file's.
  node "$npm_cli" install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  cp package-lock.json .gantry/packages
fi

# 3. The host's tools.
missing=
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"; }
need crun crun
need runc runc
need conmon conmon
need nft nftables
need ip iproute2
need mmdebstrap mmdebstrap
need busybox busybox-static
need git git
# gzip several times as fast as zlib for what is pushed; the engine does without it where there is none.
ldconfig -p 2>/dev/null | grep -q 'libisal\.so\.2' || case $(uname -m) in x86_64 | aarch64) apt-cache show libisal2 >/dev/null 2>&1 && missing="$missing libisal2" ;; esac
need mount mount
need ps procps
# any of the names that run --init looks for
command -v docker-init >/dev/null || command -v tini >/dev/null || need catatonit catatonit
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update >&2 || true
    # shellcheck disable=SC2086
    apt-get -qq install -y --no-install-recommends $missing >/dev/null 2>.gantry/apt.log || { cat .gantry/apt.log >&2; exit 1; }
  else
    say "missing on this host:$missing"
    say "install them with: sudo apt-get install --no-install-recommends$missing"
    exit 1
  fi
fi

# 4. The bundle, when a source file is newer.
if [ ! -f dist/stamp ] || [ -n "$(find src package-lock.json -name '*.test.ts' -prune -o -type f -newer dist/stamp -print -quit)" ]; then
  node tools/bundle.ts >&2
fi
[ "${1:-}" = --quiet ] || say "ready: node $(node --version), crun, runc, conmon, nft"
