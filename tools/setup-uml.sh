#!/bin/sh
# A kernel for `npm run test:vm` on hosts without virtualization: Debian's sources of the host's release, built as a program (User
# Mode Linux), in .gantry/vm/linux. Made once; it takes half an hour of a processor, and goes on where it was interrupted. What
# Debian builds itself (user-mode-linux) has no nftables tables for IPv4 and IPv6 together, which the engine's rules are in.
# What is fetched is checked by apt against the signature of the host's own archive.
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
command -v apt-get >/dev/null || fail "the sources are Debian's package linux-source, and this host has no apt: run test:vm where /dev/kvm is"

# Everything is built in: there are no modules to be loaded. What is not a name is a line of the configuration.
options='
LOCALVERSION="-uml" SYSVIPC POSIX_MQUEUE AUDIT CGROUPS MEMCG BLK_CGROUP BLK_DEV_THROTTLING CGROUP_SCHED FAIR_GROUP_SCHED
CFS_BANDWIDTH CGROUP_PIDS CGROUP_FREEZER CGROUP_DEVICE CGROUP_CPUACCT CGROUP_BPF BPF_SYSCALL NAMESPACES UTS_NS IPC_NS USER_NS
PID_NS NET_NS SECCOMP SECCOMP_FILTER KEYS SWAP CHECKPOINT_RESTORE FHANDLE DEVTMPFS DEVTMPFS_MOUNT TMPFS TMPFS_POSIX_ACL
TMPFS_XATTR INOTIFY_USER FANOTIFY SIGNALFD TIMERFD EPOLL AUTOFS_FS EXT4_FS EXT4_FS_POSIX_ACL EXT4_FS_SECURITY XFS_FS XFS_QUOTA
QUOTA EROFS_FS SQUASHFS OVERLAY_FS FUSE_FS HOSTFS BINFMT_MISC BINFMT_SCRIPT BLK_DEV BLK_DEV_UBD BLK_DEV_LOOP NET PACKET UNIX
UNIX_DIAG INET INET_DIAG INET_UDP_DIAG NETLINK_DIAG IP_ADVANCED_ROUTER IP_MULTIPLE_TABLES IPV6 IPV6_MULTIPLE_TABLES IP_SCTP
BRIDGE BRIDGE_NETFILTER BRIDGE_VLAN_FILTERING VLAN_8021Q NETDEVICES NET_CORE DUMMY MACVLAN IPVLAN VETH VXLAN TUN NETFILTER
NETFILTER_ADVANCED NETFILTER_INGRESS NF_CONNTRACK NF_CONNTRACK_MARK NF_CT_NETLINK NF_NAT NF_TABLES NF_TABLES_INET
NF_TABLES_NETDEV NF_TABLES_IPV4 NF_TABLES_ARP NF_TABLES_IPV6 NF_TABLES_BRIDGE NFT_NUMGEN NFT_CT NFT_CONNLIMIT NFT_LOG NFT_LIMIT
NFT_MASQ NFT_REDIR NFT_NAT NFT_QUOTA NFT_REJECT NFT_COMPAT NFT_HASH NFT_FIB_INET NFT_FIB_IPV4 NFT_FIB_IPV6 NFT_SOCKET
NFT_BRIDGE_META NETFILTER_XTABLES NETFILTER_XT_MARK NETFILTER_XT_NAT NETFILTER_XT_TARGET_MASQUERADE
NETFILTER_XT_TARGET_REDIRECT NETFILTER_XT_MATCH_ADDRTYPE NETFILTER_XT_MATCH_CONNTRACK NETFILTER_XT_MATCH_COMMENT
NETFILTER_XT_MATCH_STATE IP_NF_IPTABLES IP_NF_FILTER IP_NF_NAT IP_NF_MANGLE IP_NF_RAW IP_NF_TARGET_REJECT IP6_NF_IPTABLES
IP6_NF_FILTER IP6_NF_NAT IP6_NF_MANGLE IP6_NF_RAW NET_SCHED NET_SCH_TBF NET_SCH_FQ_CODEL SECURITY SECURITYFS SECURITY_NETWORK
SECURITY_PATH SECURITY_APPARMOR DEFAULT_SECURITY_APPARMOR LSM="yama,apparmor" SECURITY_YAMA UNIX98_PTYS IO_URING AIO PSI
BLK_CGROUP_IOCOST CRYPTO_USER_API_HASH IP_MULTICAST NF_CONNTRACK_EVENTS NETFILTER_NETLINK_QUEUE NETFILTER_XT_MATCH_MULTIPORT
HIGH_RES_TIMERS UML_RANDOM HW_RANDOM DEBUG_INFO_NONE MODULES=n SOUND=n INPUT=n BTRFS_FS=n REISERFS_FS=n'

# Sources that are unpacked and configured say so by this file; make goes on with what it finds of its own.
if [ "$(cat "$target.new/ready" 2>/dev/null || true)" != "$key" ]; then
  free=$(df -Pk "$root/.gantry/vm" | awk 'NR == 2 { print int($4 / 1024) }')
  [ "$free" -ge 4096 ] || fail "$root/.gantry/vm has $free MiB free: 4 GiB are wanted while the kernel is built, 20 MiB for good"
  rm -rf "$target.new"
  mkdir -p "$target.new"
  cd "$target.new"
  missing=
  for tool in gcc make bc flex bison xz; do command -v "$tool" >/dev/null || missing="$missing $tool"; done
  missing=$(printf '%s' "$missing" | sed 's/ xz/ xz-utils/')
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update >&2 || say "apt's lists could not be renewed: those of the host are used"
  # shellcheck disable=SC2086
  [ -z "$missing" ] || apt-get -qq install -y --no-install-recommends $missing >/dev/null || fail "could not be installed:$missing"
  source=$(apt-cache depends linux-source 2>/dev/null | sed -nE 's/^ *Depends: (linux-source-.*)/\1/p')
  [ -n "$source" ] || fail "this host's apt knows no package linux-source: add Debian's main archive to its sources, or run test:vm where /dev/kvm is"
  say "1 of 3: fetching $source (140 MiB)"
  apt-get -qq -o APT::Sandbox::User=root download "$source" || fail "$source could not be fetched; what apt says is above"
  dpkg-deb -f ./*.deb Version >version
  say "2 of 3: unpacking $source $(cat version) (1.4 GiB)"
  dpkg-deb -x ./*.deb deb
  rm -f ./*.deb
  tar -xf deb/usr/src/*.tar.xz
  rm -rf deb
  (
    cd linux-source-*
    for option in $options; do
      case $option in *=*) echo "CONFIG_$option" ;; *) echo "CONFIG_$option=y" ;; esac
    done >wanted
    # What is freed of seccomp's and BPF's programs is mapped anew page by page with all memory, for permissions that User Mode
    # Linux has not: minutes each time.
    sed -i 's/int flush_reset = area->flags & VM_FLUSH_RESET_PERMS;/int flush_reset = 0;/' mm/vmalloc.c
    make -s ARCH=um defconfig
    scripts/kconfig/merge_config.sh -m .config wanted >/dev/null
    make -s ARCH=um olddefconfig
  )
  echo "$key" >ready
fi
cd "$target.new"/linux-source-*
say "3 of 3: building (half an hour of a processor; $target.new/build.log)"
make -s ARCH=um -j"$(nproc)" linux >>../build.log 2>&1 || { tail -5 ../build.log >&2; fail "the kernel was not built; all that was said is in $target.new/build.log"; }
strip -o ../linux linux
rm -f ../ready # from here on an interrupted run begins anew
cd ..
rm -rf linux-source-*
echo "$key" >key
cd ..
rm -rf "$target"
mv "$target.new" "$target"
say "made: $target"
