#!/bin/sh
# Gantry as a Debian package or a single file: the Node beside this runs the bundle beside this.
self=$0
# A program costs a millisecond: none is run where none is needed.
if [ -h "$self" ] || [ "${self#*/}" = "$self" ]; then self=$(readlink -f -- "$self"); fi
root=${self%/*}
entry=cli/main.cjs
if [ "${1:-}" = daemon ]; then
  entry=daemon/main.js
  shift
elif [ "${1:-}" = registry ]; then
  case "${2:-}" in
    serve | prune) entry=registry/main.js ;;
  esac
  for word in "$@"; do
    case "$word" in
      --engine | --engine=* | --detach | --detach=* | -d) entry=cli/main.cjs ;;
    esac
  done
  [ "$entry" = cli/main.cjs ] || shift
fi
# From the memory of a process that had it all loaded (docs/decisions/0020).
if [ "$entry" = cli/main.cjs ] && [ -z "${NODE_OPTIONS:-}" ]; then
  snapshot=$root/dist/cli/command.blob
  [ "${1:-}" != compose ] || snapshot=$root/dist/cli/compose.blob
  [ ! -f "$snapshot" ] || exec "$root/node" --no-rehash-snapshot --no-sparkplug --min-semi-space-size=4 --snapshot-blob "$snapshot" -- "$@"
fi
exec "$root/node" -- "$root/dist/$entry" "$@"
