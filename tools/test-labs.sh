#!/bin/sh
# `npm run test:labs [-- LAB...]`: makes the whole lab hub and runs the labs against it, on an engine of its own.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
sh tools/setup.sh --quiet
work=$(mktemp -d /var/tmp/gantry-labs-XXXXXX)
export GANTRY_HOST=unix://$work/d.sock GANTRY_NO_AUTOSTART=1
./gantry daemon --data-root "$work/data" --exec-root "$work/run" --host "$GANTRY_HOST" --bridge gtlabs0 --bip 10.242.0.1/24 \
  --cgroup-parent /gantry-labs --registry-config-dir "$work/hub/certs.d" >"$work/daemon.log" 2>&1 &
daemon=$!
end() {
  labs/hub/down --root "$work/hub" || true
  kill $daemon 2>/dev/null || true
  wait $daemon 2>/dev/null || true
  ip link del gtlabs0 2>/dev/null || true
  rm -rf "$work"
}
trap end EXIT
tries=0
until ./gantry version >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ $tries -lt 100 ] || { cat "$work/daemon.log"; exit 1; }
  sleep 0.2
done
labs/hub/up --root "$work/hub"
[ $# -gt 0 ] || set -- $(ls labs | sed -nE 's/^([0-9]+)-.*\.md$/\1/p')
for lab; do ./gantry labs run --yes "$lab"; done
printf '\nAll labs did what they say: %s\n' "$*"
