#!/bin/sh
# `npm test`: sets up what is missing, then runs the unit tests and the system tests.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
sh tools/setup.sh
sh tools/setup-tests.sh
PATH=$root/.gantry:$PATH
[ ! -d .gantry/docker-cli ] || PATH=$PATH:$root/.gantry/docker-cli/usr/bin
export PATH
if [ $# -gt 0 ]; then exec node --test "$@"; fi
node tools/run-tests.ts
printf '\nAll tests passed. Next: ./gantry demo, npm run check, npm run bench.\n'
