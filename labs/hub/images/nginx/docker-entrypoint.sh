#!/bin/sh
set -e
if [ "$1" = nginx ]; then
  for script in /docker-entrypoint.d/*.sh; do
    [ -x "$script" ] || continue
    echo "$0: running $script"
    "$script"
  done
  echo "$0: Configuration complete; ready for start up"
fi
exec "$@"
