#!/bin/sh
# What the tests need beyond the engine's own tools: independent readers of images, and a docker CLI to test against.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
say() { printf '%s\n' "gantry test setup: $*" >&2; }

missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need skopeo skopeo
need umoci umoci
need curl curl
need openssl openssl
need tmux tmux
need xz xz-utils
need iperf3 iperf3
[ "$(id -u)" = 0 ] || { say "the system tests make namespaces, mounts and cgroups: run them as root"; exit 1; }
if [ -n "$missing" ]; then
  say "installing$missing"
  DEBIAN_FRONTEND=noninteractive apt-get -qq update >&2 || true
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null 2>.gantry/apt.log || { cat .gantry/apt.log >&2; exit 1; }
fi

# The docker CLI without its daemon: unpacked beside the project, not installed.
if ! command -v docker >/dev/null 2>&1 && [ ! -x .gantry/docker-cli/usr/bin/docker ]; then
  package=docker.io
  apt-cache show docker-cli >/dev/null 2>&1 && package=docker-cli
  say "unpacking the docker CLI of Debian's package $package"
  (cd .gantry && rm -rf docker-deb && mkdir docker-deb && cd docker-deb && apt-get -qq download "$package" && dpkg -x ./*.deb ../docker-cli)
  rm -rf .gantry/docker-deb
fi

# A registry to compare ours with: unpacked too, for the installed one would start by itself.
if ! command -v docker-registry >/dev/null 2>&1 && [ ! -x .gantry/docker-registry/usr/bin/docker-registry ]; then
  say "unpacking Debian's docker-registry"
  rm -rf .gantry/registry-deb && mkdir .gantry/registry-deb
  (cd .gantry/registry-deb && apt-get -qq download docker-registry && dpkg -x ./*.deb ../docker-registry) || say "no docker-registry to be had: its tests are left out"
  rm -rf .gantry/registry-deb
fi
