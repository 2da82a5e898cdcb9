#!/bin/sh
# Gantry as a Debian package or a single file: the Node beside this runs the bundle beside this.
self=$(readlink -f -- "$0")
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
exec "$root/node" -- "$root/dist/$entry" "$@"
