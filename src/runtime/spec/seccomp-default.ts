import type { SeccompArgument, SeccompCondition, SeccompProfile, SeccompRule } from './seccomp.ts';

/**
 * Docker's default filter of 2026: what it allows, in our own arrangement. Everything else fails with EPERM, so that a
 * program sees a refusal; `clone3` fails with ENOSYS, so that libc falls back to `clone`, whose flags can be filtered.
 */
export function defaultSeccompProfile(): SeccompProfile {
  return (profile ??= {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    archMap: ARCHITECTURES,
    syscalls: [
      allow(ALWAYS.join(' ')),
      allow('process_vm_readv process_vm_writev ptrace', { includes: { minKernel: '4.8' } }),
      ...socketRules(),
      ...PERSONALITIES.map((value) => allow('personality', { args: [{ index: 0, value, op: 'SCMP_CMP_EQ' }] })),
      ...Object.entries(BY_ARCHITECTURE).map(([arches, names]) =>
        allow(names, { includes: { arches: arches.split(' ') } }),
      ),
      ...Object.entries(BY_CAPABILITY).map(([cap, names]) => allow(names, { includes: { caps: [`CAP_${cap}`] } })),
      allow('clone', {
        args: [{ index: 0, value: NAMESPACE_FLAGS, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
        excludes: { caps: ['CAP_SYS_ADMIN'], arches: ['s390', 's390x'] },
      }),
      // s390 has the flags in the second argument
      allow('clone', {
        args: [{ index: 1, value: NAMESPACE_FLAGS, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
        includes: { arches: ['s390', 's390x'] },
        excludes: { caps: ['CAP_SYS_ADMIN'] },
      }),
      {
        names: ['clone3'],
        action: 'SCMP_ACT_ERRNO',
        errnoRet: ENOSYS,
        excludes: { caps: ['CAP_SYS_ADMIN'] },
      },
    ],
  });
}

let profile: SeccompProfile | undefined;

const EPERM = 1;
const ENOSYS = 38;
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const NAMESPACE_FLAGS = 0x7e020000;

/** PER_LINUX, PER_LINUX32, both with UNAME26, and the query. */
const PERSONALITIES = [0, 8, 0x20000, 0x20008, 0xffffffff];

/** Address families that containers have no business with: AF_ALG (kernel crypto, CVE-2026-31431) and AF_VSOCK (reaches the hypervisor). */
const AF_ALG = 38;
const AF_VSOCK = 40;

/** A filter rule can compare only once an argument, so the allowed families are what lies around the refused ones. */
function socketRules(): SeccompRule[] {
  const family = (op: string, value: number): SeccompArgument => ({ index: 0, value, op });
  return [
    allow('socket', { args: [family('SCMP_CMP_LT', AF_ALG)] }),
    allow('socket', { args: [family('SCMP_CMP_EQ', AF_ALG + 1)] }),
    allow('socket', { args: [family('SCMP_CMP_GT', AF_VSOCK)] }),
  ];
}

function allow(
  names: string,
  more: { args?: SeccompArgument[]; includes?: SeccompCondition; excludes?: SeccompCondition } = {},
): SeccompRule {
  return { names: names.split(' '), action: 'SCMP_ACT_ALLOW', ...more };
}

/** Native architecture, and those its kernel runs as well. */
const ARCHITECTURES = Object.entries({
  X86_64: 'X86 X32',
  AARCH64: 'ARM',
  MIPS64: 'MIPS MIPS64N32',
  MIPS64N32: 'MIPS MIPS64',
  MIPSEL64: 'MIPSEL MIPSEL64N32',
  MIPSEL64N32: 'MIPSEL MIPSEL64',
  S390X: 'S390',
  RISCV64: '',
  LOONGARCH64: '',
}).map(([architecture, others]) => ({
  architecture: `SCMP_ARCH_${architecture}`,
  subArchitectures: others
    .split(' ')
    .filter((name) => name !== '')
    .map((name) => `SCMP_ARCH_${name}`),
}));

/** By subject. Names that an architecture does not have are skipped by the runtime. */
const ALWAYS: readonly string[] = [
  // a process: its life, its image
  'execve execveat exit exit_group fork vfork wait4 waitid waitpid getpid getppid gettid getpgid getpgrp setpgid getsid',
  'setsid pause prctl seccomp restart_syscall rseq membarrier set_tid_address set_robust_list get_robust_list',
  'set_thread_area get_thread_area pidfd_open pidfd_send_signal process_mrelease uretprobe riscv_hwprobe',
  'landlock_add_rule landlock_create_ruleset landlock_restrict_self',
  // who it is
  'getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid getresgid32',
  'getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setresuid setresuid32',
  'setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 setgroups setgroups32 capget capset',
  // limits, scheduling, accounting
  'getrlimit ugetrlimit setrlimit prlimit64 getrusage times sysinfo uname umask getcpu getpriority setpriority',
  'ioprio_get ioprio_set sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam',
  'sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min',
  'sched_rr_get_interval sched_rr_get_interval_time64',
  // signals
  'kill tkill tgkill sigaltstack sigprocmask sigreturn signalfd signalfd4 rt_sigaction rt_sigpending rt_sigprocmask',
  'rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 alarm',
  // time
  'time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep',
  'clock_nanosleep_time64 clock_adjtime clock_adjtime64 adjtimex nanosleep getitimer setitimer timer_create timer_delete',
  'timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime',
  'timerfd_gettime64 timerfd_settime timerfd_settime64',
  // memory
  'brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall munlock munlockall mseal',
  'remap_file_pages map_shadow_stack memfd_create memfd_secret pkey_alloc pkey_free pkey_mprotect readahead cachestat',
  // waiting
  'futex futex_time64 futex_wait futex_waitv futex_wake futex_requeue poll ppoll ppoll_time64 select _newselect pselect6',
  'pselect6_time64 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2',
  'eventfd eventfd2 inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark io_setup io_destroy',
  'io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64',
  // descriptors
  'open openat openat2 creat close close_range dup dup2 dup3 fcntl fcntl64 ioctl flock pipe pipe2 lseek _llseek',
  'read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 sendfile sendfile64 copy_file_range splice',
  'tee vmsplice sync syncfs fsync fdatasync sync_file_range fadvise64 fadvise64_64 fallocate ftruncate ftruncate64',
  'truncate truncate64 getdents getdents64',
  // names and attributes of files
  'access faccessat faccessat2 stat stat64 lstat lstat64 fstat fstat64 fstatat64 newfstatat statx statfs statfs64',
  'fstatfs fstatfs64 statmount listmount chdir fchdir getcwd mkdir mkdirat rmdir link linkat symlink symlinkat',
  'readlink readlinkat unlink unlinkat rename renameat renameat2 mknod mknodat chmod fchmod fchmodat fchmodat2 chown',
  'chown32 fchown fchown32 fchownat lchown lchown32 utime utimes futimesat utimensat utimensat_time64',
  'name_to_handle_at getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat listxattr',
  'llistxattr flistxattr listxattrat removexattr lremovexattr fremovexattr removexattrat',
  // sockets (`socket` itself: by family)
  'socketpair socketcall bind listen accept accept4 connect shutdown getsockname getpeername getsockopt setsockopt send',
  'sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64',
  // System V and POSIX message passing
  'ipc msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget mq_open',
  'mq_unlink mq_notify mq_getsetattr mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64',
  'getrandom',
];

const BY_ARCHITECTURE: Readonly<Record<string, string>> = {
  ppc64le: 'sync_file_range2 swapcontext',
  'arm arm64': 'arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls',
  'amd64 x32': 'arch_prctl',
  'amd64 x32 x86': 'modify_ldt',
  's390 s390x': 's390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr',
  riscv64: 'riscv_flush_icache',
};

const BY_CAPABILITY: Readonly<Record<string, string>> = {
  BPF: 'bpf',
  DAC_READ_SEARCH: 'open_by_handle_at',
  PERFMON: 'perf_event_open',
  SYSLOG: 'syslog',
  SYS_ADMIN:
    'bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules ' +
    'lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname ' +
    'sethostname setns syslog umount umount2 unshare',
  SYS_BOOT: 'reboot',
  SYS_CHROOT: 'chroot',
  SYS_MODULE: 'delete_module finit_module init_module',
  SYS_NICE: 'get_mempolicy mbind set_mempolicy set_mempolicy_home_node',
  SYS_PACCT: 'acct',
  SYS_PTRACE: 'kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace',
  SYS_RAWIO: 'ioperm iopl',
  SYS_TIME: 'clock_settime clock_settime64 settimeofday stime',
  SYS_TTY_CONFIG: 'vhangup',
};
