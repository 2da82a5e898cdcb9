#!/bin/sh
set -e
# `run IMAGE app.js` and `run IMAGE --version` are for node
if [ "${1#-}" != "${1}" ] || [ -z "$(command -v "${1}")" ] || { [ -f "${1}" ] && ! [ -x "${1}" ]; }; then
  set -- node "$@"
fi
exec "$@"
