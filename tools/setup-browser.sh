#!/bin/sh
# Chromium for `npm run test:browser`, from Debian's packages.
set -eu
command -v chromium >/dev/null && exit 0
printf '%s\n' 'gantry test setup: installing chromium' >&2
apt-get -qq update >&2 || true
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core >/dev/null
