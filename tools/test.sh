#!/bin/sh
# `npm test`: sets up what is missing, then runs the unit tests and the system tests.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
sh tools/setup.sh
sh tools/setup-tests.sh
PATH=$root/.gantry:$PATH
[ ! -d .gantry/docker-cli ] || PATH=$PATH:$root/.gantry/docker-cli/usr/bin
# What Node has compiled is kept for the next process: the suite starts hundreds, each with hundreds of modules.
NODE_COMPILE_CACHE=$root/.gantry/compile-cache
export PATH NODE_COMPILE_CACHE
if [ $# -gt 0 ]; then exec node --test "$@"; fi
node tools/run-tests.ts
printf '\nAll tests passed. Next: ./gantry demo, npm run check, npm run bench.\n'
