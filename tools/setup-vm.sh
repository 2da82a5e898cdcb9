#!/bin/sh
# A machine for `npm run test:vm`: Debian's root file system with systemd, AppArmor and cgroup v2, and its kernel, in
# .gantry/vm/<suite>. Made once for a suite and this file's words; the argument is the suite, bookworm by default. What is
# fetched is checked by apt against the signature of Debian's archive.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
suite=${1:-bookworm}
say() { printf '%s\n' "gantry vm setup: $*" >&2; }
fail() { say "$*"; exit 1; }
target=$root/.gantry/vm/$suite
key=$(cat "$0" | sha256sum | cut -c1-16)

case $suite in *[!a-z]* | '' | linux) fail "$suite is no suite of Debian: bookworm, trixie, sid, …" ;; esac
[ "$(id -u)" = 0 ] || fail "makes a root file system with its owners: run it as root"

# One at a time; whoever waited finds it made. The key is the last that is written before the directory gets its name: what an
# interrupted run left has another.
mkdir -p "$root/.gantry/vm"
exec 9>"$root/.gantry/vm/$suite.lock"
flock 9
[ "$(cat "$target/key" 2>/dev/null || true)" != "$key" ] || exit 0

# What is mounted in the new root (mmdebstrap's /dev, /proc, /sys) is so in here only, and gone with this process, however it ends.
[ "${GANTRY_VM_SETUP_UNSHARED:-}" = 1 ] || GANTRY_VM_SETUP_UNSHARED=1 exec unshare --mount sh "$0" "$suite"
missing=
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"; }
need mmdebstrap mmdebstrap
need mkfs.ext4 e2fsprogs
if [ -n "$missing" ]; then
  command -v apt-get >/dev/null || fail "missing on this host, and no apt to get it:$missing"
  say "installing$missing"
  DEBIAN_FRONTEND=noninteractive apt-get -qq update >&2 || true
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null || fail "could not be installed:$missing"
fi

# The kernel and what Gantry and its tests want (tools/setup.sh, tools/setup-tests.sh), in every suite.
packages=linux-image-amd64,initramfs-tools,zstd,systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,udev,kmod,apparmor
packages=$packages,crun,runc,conmon,nftables,iptables,iproute2,iputils-ping,mmdebstrap,busybox-static,git,libisal2,mount,procps
packages=$packages,catatonit,ca-certificates,debian-archive-keyring,skopeo,umoci,podman,curl,openssl,openssh-client,tmux,zsh
packages=$packages,fish,xz-utils,iperf3,e2fsprogs,xfsprogs,python3-docker,uidmap,slirp4netns,passt,fuse-overlayfs,strace

mirror=$({ sed -nE 's/^URIs: *([^ ]+).*/\1/p' /etc/apt/sources.list.d/*.sources; sed -nE 's/^deb (\[[^]]*\] )?([^ ]+).*/\2/p' /etc/apt/sources.list; } 2>/dev/null | grep -E '/debian/?$' | head -1)
[ -n "$mirror" ] || fail "this host's apt has no source that ends in /debian: the machine is made of Debian's packages, so add one to /etc/apt/sources.list"
free=$(df -Pk "$root/.gantry/vm" | awk 'NR == 2 { print int($4 / 1024) }')
[ "$free" -ge 4096 ] || fail "$root/.gantry/vm has $free MiB free: 4 GiB are wanted while the machine is made, 1 GiB for good"

say "making a machine of Debian $suite from $mirror (once; three to six minutes)"
rm -rf --one-file-system "$target.new"
mkdir -p "$target.new"
cd "$target.new"
say "1 of 3: its packages"
mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" root "$mirror" ||
  fail "mmdebstrap failed; what it says is above (a mirror that is out of reach, or one without $suite)"

say "2 of 3: its settings"
# No clock of others, no network but loopback, nothing to be asked at the console; a user for engines without root.
echo gantry-vm >root/etc/hostname
echo '127.0.0.1 localhost gantry-vm' >root/etc/hosts
: >root/etc/fstab
rm -f root/etc/resolv.conf
ln -sf /dev/null root/etc/systemd/system/systemd-timesyncd.service
ln -sf /dev/null root/etc/systemd/system/podman.socket
ln -sf /dev/null root/etc/systemd/system/podman-restart.service
ln -sf /dev/null root/etc/systemd/system/apt-daily.timer
ln -sf /dev/null root/etc/systemd/system/apt-daily-upgrade.timer
ln -sf /dev/null root/etc/systemd/system/e2scrub_all.timer
chroot root useradd --create-home --shell /bin/bash ada
grep -q '^ada:' root/etc/subuid || { echo ada:100000:65536 >>root/etc/subuid; echo ada:100000:65536 >>root/etc/subgid; }
mkdir -p root/var/lib/systemd/linger
: >root/var/lib/systemd/linger/ada

# What the host wants done is on the second disk. Its output goes through a port, with its exit status as the last line.
cat >root/etc/systemd/system/gantry-job.service <<'UNIT'
[Unit]
Description=What this machine was started for
After=multi-user.target systemd-user-sessions.service
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/gantry-job
Delegate=yes
TasksMax=infinity
LimitNOFILE=1048576
TimeoutStartSec=infinity
UNIT
cat >root/usr/local/sbin/gantry-job <<'JOB'
#!/bin/sh
report=/dev/virtio-ports/report
[ -e $report ] || report=/dev/ttyS0
[ $report != /dev/ttyS0 ] || stty -F $report raw -echo
exec >$report 2>&1 </dev/null
echo '@@ start'
mkdir -p /gantry
mount LABEL=gantry /gantry && sh /gantry/.vm/job
printf '\n@@ status %s\n' $?
sync
systemctl poweroff --force --force >/dev/null 2>&1
JOB
chmod 755 root/usr/local/sbin/gantry-job
mkdir -p root/etc/systemd/system/graphical.target.wants
ln -s ../gantry-job.service root/etc/systemd/system/graphical.target.wants/gantry-job.service

cp root/boot/vmlinuz-* vmlinuz
cp root/boot/initrd.img-* initrd
rm -rf root/var/cache/apt/archives/*.deb root/var/lib/apt/lists/*
say "3 of 3: its disk"
truncate -s 40G root.ext4
mkfs.ext4 -q -F -L root -O ^has_journal -E lazy_itable_init=1 -d root root.ext4
rm -rf --one-file-system root
echo "$key" >key
cd ..
rm -rf "$target"
mv "$target.new" "$target"
say "made: $target"
