#!/bin/sh
# What the benchmark measures against, from Debian's own mirror: Docker of this release (installed nowhere: unpacked into
# .gantry/peers/old), Docker of the newest suite with buildx and Compose (.gantry/peers/new), and the tools of the loads.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
say() { printf '%s\n' "gantry bench setup: $*" >&2; }

missing=
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"; }
need iptables iptables
need iperf3 iperf3
need docker-registry docker-registry
need skopeo skopeo
need buildah buildah
need git git
if [ -n "$missing" ]; then
  say "installing$missing"
  apt-get -qq update >&2 || true
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null
fi

# unpack DIRECTORY PACKAGE…: packages by the apt options in $apt.
unpack() {
  into=$1
  shift
  rm -rf "$into.new"
  mkdir -p "$into.new/debs" "$into.new/root"
  for package; do
    # shellcheck disable=SC2086
    (cd "$into.new/debs" && apt-get -qq $apt download "$package") || say "not to be had: $package"
  done
  for deb in "$into.new"/debs/*.deb; do dpkg -x "$deb" "$into.new/root"; done
  rm -rf "$into.new/debs" "$into"
  mv "$into.new" "$into"
}

mkdir -p .gantry/peers
if [ ! -d .gantry/peers/old ]; then
  say 'unpacking Docker of this release'
  apt='-o APT::Sandbox::User=root'
  unpack "$root/.gantry/peers/old" docker.io containerd runc tini
fi
if [ ! -d .gantry/peers/new ]; then
  mirror=$({ sed -nE 's/^URIs: *([^ ]+).*/\1/p' /etc/apt/sources.list.d/*.sources; sed -nE 's/^deb (\[[^]]*\] )?([^ ]+).*/\2/p' /etc/apt/sources.list; } 2>/dev/null | grep -E '/debian/?$' | head -n 1) || true
  if [ -n "$mirror" ]; then
    say 'unpacking Docker of the newest suite'
    lists=$root/.gantry/peers/apt
    mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$lists/sources.list"
    apt="-o Dir::Etc::sourcelist=$lists/sources.list -o Dir::Etc::sourceparts=- -o Dir::State::Lists=$lists/lists -o Dir::Cache=$lists/cache -o APT::Sandbox::User=root"
    # shellcheck disable=SC2086
    apt-get -qq $apt update
    unpack "$root/.gantry/peers/new" docker-cli docker-buildx docker-compose docker.io containerd runc tini
  else
    say 'no Debian mirror among the package sources: measured without the newest Docker'
  fi
fi
