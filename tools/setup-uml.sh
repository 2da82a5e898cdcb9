#!/bin/sh
# A kernel for `npm run test:vm` on hosts without virtualization: Debian's sources of the suite's kernel, built as a program
# (User Mode Linux), in .gantry/vm/linux. Made once; it takes a quarter of an hour of two processors.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
target=$root/.gantry/vm/linux
say() { printf '%s\n' "gantry vm setup: $*" >&2; }
key=$(sha256sum "$0" | cut -c1-16)
[ "$(cat "$target/key" 2>/dev/null || true)" != "$key" ] || exit 0

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

say "building a kernel that runs as a program (once; a quarter of an hour)"
rm -rf "$target.new"
mkdir -p "$target.new"
cd "$target.new"
missing=
for tool in gcc make bc flex bison xz; do command -v "$tool" >/dev/null || missing="$missing $tool"; done
missing=$(printf '%s' "$missing" | sed 's/ xz/ xz-utils/')
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update >&2 || true
# shellcheck disable=SC2086
[ -z "$missing" ] || apt-get -qq install -y --no-install-recommends $missing >/dev/null
source=$(apt-cache depends linux-source | sed -nE 's/^ *Depends: (linux-source-.*)/\1/p')
apt-get -qq -o APT::Sandbox::User=root download "$source"
dpkg -x ./*.deb deb
rm -f ./*.deb
tar -xf deb/usr/src/*.tar.xz
rm -rf deb
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
make -s ARCH=um -j"$(nproc)" linux >../build.log 2>&1 || { tail -5 ../build.log >&2; exit 1; }
strip -o ../linux linux
cd ..
rm -rf linux-source-*
echo "$key" >key
cd ..
rm -rf "$target"
mv "$target.new" "$target"
