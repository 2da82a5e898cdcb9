#!/bin/sh
# Gantry as a Debian package or a single file: the Node beside this runs the bundle beside this.
self=$(readlink -f -- "$0")
root=${self%/*}
entry=cli
if [ "${1:-}" = daemon ]; then
  entry=daemon
  shift
elif [ "${1:-} ${2:-}" = 'registry serve' ]; then
  entry=registry
  shift 2
fi
exec "$root/node" -- "$root/dist/$entry/main.js" "$@"
