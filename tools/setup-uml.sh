#!/bin/sh
# A kernel for `npm run test:vm` on hosts without virtualization: the one that Debian builds as a program (User Mode Linux), with
# its modules, in .gantry/vm/linux. Unpacked, not installed; apt checks it against the signature of the host's own archive.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
target=$root/.gantry/vm/linux
say() { printf '%s\n' "gantry vm setup: $*" >&2; }
fail() { say "$*"; exit 1; }

# One at a time; whoever waited finds it made.
mkdir -p "$root/.gantry/vm"
exec 9>"$root/.gantry/vm/linux.lock"
flock 9

# The file is the last that is written before the directory gets its name: what an interrupted run left has another.
key=$(sha256sum "$0" | cut -c1-16)
[ "$(cat "$target/key" 2>/dev/null || true)" != "$key" ] || exit 0

[ "$(uname -m)" = x86_64 ] || fail "User Mode Linux is there for x86-64 only, this host is $(uname -m): run test:vm where /dev/kvm is"
command -v apt-get >/dev/null || fail "the kernel is Debian's package user-mode-linux, and this host has no apt: run test:vm where /dev/kvm is"
free=$(df -Pk "$root/.gantry/vm" | awk 'NR == 2 { print int($4 / 1024) }')
[ "$free" -ge 400 ] || fail "$root/.gantry/vm has $free MiB free, the kernel and its modules take 400 MiB while they are unpacked"

say "fetching a kernel that runs as a program (once; 40 MiB)"
rm -rf "$target.new"
mkdir -p "$target.new/deb"
cd "$target.new"
apt-cache show user-mode-linux >/dev/null 2>&1 || apt-get -qq update >&2 || true
apt-cache show user-mode-linux >/dev/null 2>&1 || fail "this host's apt knows no package user-mode-linux: add Debian's main archive to its sources, or run test:vm where /dev/kvm is"
# What a list of yesterday names may have been replaced since.
fetch() { (cd deb && apt-get -qq -o APT::Sandbox::User=root download user-mode-linux); }
fetch || { apt-get -qq update >&2 && fetch; } || fail "user-mode-linux could not be fetched; what apt says is above"
for package in deb/*.deb; do
  dpkg-deb -f "$package" Version >version
  dpkg-deb -x "$package" deb
done
mv deb/usr/bin/linux.uml linux
mv deb/usr/lib/uml/modules/* modules
[ -e modules/modules.dep ] || fail "user-mode-linux $(cat version) has its modules elsewhere than usr/lib/uml/modules/<release>"
rm -rf deb
./linux --version >/dev/null 2>&1 || fail "user-mode-linux $(cat version) does not run on this host: ./linux --version in $target.new says why"
echo "$key" >key
rm -rf "$target"
mv "$target.new" "$target"
say "user-mode-linux $(cat "$target/version") is in $target"
