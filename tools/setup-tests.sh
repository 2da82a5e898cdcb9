#!/bin/sh
# What the tests need beyond the engine's own tools: independent readers of images, a docker CLI and a docker-compose to test against.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
say() { printf '%s\n' "gantry test setup: $*" >&2; }

missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need skopeo skopeo
need umoci umoci
need podman podman
need curl curl
need openssl openssl
need ssh-agent openssh-client
need tmux tmux
need zsh zsh
need fish fish
need xz xz-utils
need iperf3 iperf3
need mkfs.ext4 e2fsprogs
need losetup mount
need docker-compose docker-compose
/usr/bin/python3 -c 'import docker' 2>/dev/null || missing="$missing python3-docker"
need newuidmap uidmap
need slirp4netns slirp4netns
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

# Docker's daemon, for round trips of images with it: unpacked too, and only ever started by a test.
if [ ! -x .gantry/dockerd/usr/sbin/dockerd ]; then
  say "unpacking Debian's dockerd"
  rm -rf .gantry/dockerd-deb .gantry/dockerd.new && mkdir .gantry/dockerd-deb
  (cd .gantry/dockerd-deb && apt-get -qq -o APT::Sandbox::User=root download docker.io containerd && for package in ./*.deb; do dpkg -x "$package" ../dockerd.new; done) >&2 || say "no dockerd to be had: its tests are left out"
  rm -rf .gantry/dockerd-deb
  [ ! -d .gantry/dockerd.new ] || mv .gantry/dockerd.new .gantry/dockerd
fi

# buildx and Compose v2: Debian's stable release has neither, so they come from its newest suite, unpacked beside the
# project. Without them their tests say that they are skipped, and why.
plugins=.gantry/docker-plugins
if [ ! -x $plugins/usr/libexec/docker/cli-plugins/docker-compose ]; then
  mirror=$({ sed -nE 's/^URIs: *([^ ]+).*/\1/p' /etc/apt/sources.list.d/*.sources; sed -nE 's/^deb (\[[^]]*\] )?([^ ]+).*/\2/p' /etc/apt/sources.list; } 2>/dev/null | grep -E '/debian/?$' | head -1) || true
  key=/usr/share/keyrings/debian-archive-keyring.gpg
  say "unpacking buildx and Compose"
  if [ -n "$mirror" ] && [ -e "$key" ] && (
    set -e
    rm -rf $plugins.new
    mkdir -p $plugins.new/apt/lists/partial $plugins.new/apt/cache/archives/partial
    cd $plugins.new/apt
    echo "deb [signed-by=$key] $mirror sid main" >sources.list
    set -- apt-get -qq -o Dir::Etc::sourcelist="$PWD/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::Lists="$PWD/lists" -o Dir::Cache="$PWD/cache" -o APT::Sandbox::User=root
    "$@" update
    "$@" download docker-buildx docker-compose
    for package in ./*.deb; do dpkg -x "$package" ..; done
    cd .. && rm -rf apt
    usr/libexec/docker/cli-plugins/docker-buildx version >/dev/null
    usr/libexec/docker/cli-plugins/docker-compose version >/dev/null
  ) >&2; then
    rm -rf $plugins && mv $plugins.new $plugins
  else
    rm -rf $plugins.new
    say "buildx and Compose could not be had from Debian's suite sid: their tests are skipped"
  fi
fi

# Programs of another machine and an emulator for them, for RUN steps of other platforms: unpacked, for an installed one
# would be registered with the kernel. A test does that for itself, and takes it back.
foreign=.gantry/arm64
if [ ! -x $foreign/emulator/usr/bin/qemu-aarch64-static ] || [ ! -x $foreign/root/bin/busybox ]; then
  say "unpacking an emulator of arm64, and a busybox for it"
  suite=$(. /etc/os-release && printf %s "${VERSION_CODENAME:-}")
  if [ -n "${mirror:=$({ sed -nE 's/^URIs: *([^ ]+).*/\1/p' /etc/apt/sources.list.d/*.sources; sed -nE 's/^deb (\[[^]]*\] )?([^ ]+).*/\2/p' /etc/apt/sources.list; } 2>/dev/null | grep -E '/debian/?$' | head -1)}" ] && [ -n "$suite" ] && (
    set -e
    rm -rf $foreign.new
    mkdir -p $foreign.new/apt/lists/partial $foreign.new/apt/cache/archives/partial $foreign.new/apt/native $foreign.new/apt/arm64
    cd $foreign.new/apt
    (cd native && apt-get -qq -o APT::Sandbox::User=root download qemu-user-static)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >sources.list
    set -- apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::status=/dev/null -o Dir::Etc::sourcelist="$PWD/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::Lists="$PWD/lists" -o Dir::Cache="$PWD/cache" -o APT::Sandbox::User=root
    "$@" update
    (cd arm64 && "$@" download busybox-static)
    dpkg -x native/*.deb ../emulator
    dpkg -x arm64/*.deb ../root
    cd .. && rm -rf apt
    # Nothing but what is wanted: all emulators are 300 MB.
    find emulator -type f ! -name qemu-aarch64-static -delete
    find emulator -type l -delete
    emulator/usr/bin/qemu-aarch64-static root/bin/busybox true
  ) >&2; then
    rm -rf $foreign && mv $foreign.new $foreign
  else
    rm -rf $foreign.new
    say "no emulator of arm64 to be had: its tests are left out"
  fi
fi
