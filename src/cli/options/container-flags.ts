import {
  bool,
  bytes,
  cpus,
  duration,
  each,
  type FlagValues,
  int,
  list,
  map,
  string,
  swapBytes,
  uint16,
} from '../flag.ts';
import { checkLabel, checkVariable } from './environment.ts';
import { parseMount } from './mount.ts';
import { parseSecret } from './secret.ts';
import { checkIp, parseNetwork } from './network.ts';
import {
  parseDeviceRule,
  parseGpus,
  parseThrottleBps,
  parseThrottleIops,
  parseUlimit,
  parseWeightDevice,
} from './resource.ts';

/** What `run` and `create` have in common. */
export const CONTAINER_FLAGS = {
  'add-host': each('list', 'Add a custom host-to-IP mapping (host:ip)', parseExtraHost),
  annotation: map('Add an annotation to the container (passed through to the OCI runtime)'),
  attach: each('list', 'Attach to STDIN, STDOUT or STDERR', parseStream, {
    short: 'a',
    complete: ['stdin', 'stdout', 'stderr'],
  }),
  'blkio-weight': uint16('Block IO (relative weight), between 10 and 1000, or 0 to disable'),
  'blkio-weight-device': each('list', 'Block IO weight (relative device weight)', parseWeightDevice, {
    defaultText: '[]',
  }),
  'cap-add': list('Add Linux capabilities'),
  'cap-drop': list('Drop Linux capabilities'),
  'cgroup-parent': string('Optional parent cgroup for the container'),
  cgroupns: string(
    "Cgroup namespace to use (host|private)\n'host':    Run the container in the host's cgroup namespace\n'private': Run the container in its own private cgroup namespace\n'':        Use the cgroup namespace as configured by the default-cgroupns-mode option on the engine (default)",
    { complete: ['host', 'private'] },
  ),
  cidfile: string('Write the container ID to the file', { complete: 'file' }),
  'cpu-count': int('CPU count (Windows only)', { hidden: true }),
  'cpu-percent': int('CPU percent (Windows only)', { hidden: true }),
  'cpu-period': int('Limit CPU CFS (Completely Fair Scheduler) period'),
  'cpu-quota': int('Limit CPU CFS (Completely Fair Scheduler) quota'),
  'cpu-rt-period': int('Limit CPU real-time period in microseconds'),
  'cpu-rt-runtime': int('Limit CPU real-time runtime in microseconds'),
  'cpu-shares': int('CPU shares (relative weight)', { short: 'c' }),
  cpus: cpus('Number of CPUs'),
  'cpuset-cpus': string('CPUs in which to allow execution (0-3, 0,1)'),
  'cpuset-mems': string('MEMs in which to allow execution (0-3, 0,1)'),
  device: list('Add a host device to the container'),
  'device-cgroup-rule': each('list', 'Add a rule to the cgroup allowed devices list', parseDeviceRule),
  'device-read-bps': each('list', 'Limit read rate (bytes per second) from a device', parseThrottleBps, {
    defaultText: '[]',
  }),
  'device-read-iops': each('list', 'Limit read rate (IO per second) from a device', parseThrottleIops, {
    defaultText: '[]',
  }),
  'device-write-bps': each('list', 'Limit write rate (bytes per second) to a device', parseThrottleBps, {
    defaultText: '[]',
  }),
  'device-write-iops': each('list', 'Limit write rate (IO per second) to a device', parseThrottleIops, {
    defaultText: '[]',
  }),
  'disable-content-trust': bool('Skip image verification', { initial: true }),
  dns: each('list', 'Set custom DNS servers', checkIp),
  'dns-opt': list('Set DNS options', { hidden: true }),
  'dns-option': list('Set DNS options'),
  'dns-search': each('list', 'Set custom DNS search domains', parseDnsSearch),
  domainname: string('Container NIS domain name'),
  entrypoint: string('Overwrite the default ENTRYPOINT of the image'),
  env: each('list', 'Set environment variables', checkVariable, { short: 'e' }),
  'env-file': list('Read in a file of environment variables', { complete: 'file' }),
  expose: list('Expose a port or a range of ports'),
  gpus: each('gpu-request', "GPU devices to add to the container ('all' to pass all GPUs)", parseGpus),
  'group-add': list('Add additional groups to join'),
  'health-cmd': string('Command to run to check health'),
  'health-interval': duration('Time between running the check (ms|s|m|h)'),
  'health-retries': int('Consecutive failures needed to report unhealthy'),
  'health-start-interval': duration('Time between running the check during the start period (ms|s|m|h)'),
  'health-start-period': duration(
    'Start period for the container to initialize before starting health-retries countdown (ms|s|m|h)',
  ),
  'health-timeout': duration('Maximum time to allow one check to run (ms|s|m|h)'),
  hostname: string('Container host name', { short: 'h' }),
  init: bool('Run an init inside the container that forwards signals and reaps processes'),
  interactive: bool('Keep STDIN open even if not attached', { short: 'i' }),
  'io-maxbandwidth': bytes('Maximum IO bandwidth limit for the system drive (Windows only)', { hidden: true }),
  'io-maxiops': int('Maximum IOps limit for the system drive (Windows only)', { kind: 'uint', hidden: true }),
  ip: string('IPv4 address (e.g., 172.30.100.104)'),
  ip6: string('IPv6 address (e.g., 2001:db8::33)'),
  ipc: string('IPC mode to use'),
  isolation: string('Container isolation technology'),
  'kernel-memory': bytes('Kernel memory limit', {
    deprecated: 'the kernel has no such limit any more; it is not passed on',
    hidden: true,
  }),
  label: each('list', 'Set meta data on a container', checkLabel, { short: 'l' }),
  'label-file': list('Read in a line delimited file of labels', { complete: 'file' }),
  link: list('Add link to another container'),
  'link-local-ip': each('list', 'Container IPv4/IPv6 link-local addresses', checkIp),
  'log-driver': string('Logging driver for the container'),
  'log-opt': list('Log driver options'),
  'mac-address': string('Container MAC address (e.g., 92:d0:c6:0a:29:33)'),
  memory: bytes('Memory limit', { short: 'm' }),
  'memory-reservation': bytes('Memory soft limit'),
  'memory-swap': swapBytes("Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
  'memory-swappiness': int('Tune container memory swappiness (0 to 100)', { initial: -1 }),
  secret: each('list', 'Secret as a file (NAME[,target=PATH][,uid=N][,gid=N][,mode=0400])', parseSecret),
  mount: each('mount', 'Attach a filesystem mount to the container', parseMount),
  name: string('Assign a name to the container'),
  net: each('network', 'Connect a container to a network', parseNetwork, { hidden: true, complete: 'network' }),
  'net-alias': list('Add network-scoped alias for the container', { hidden: true }),
  network: each('network', 'Connect a container to a network', parseNetwork, { complete: 'network' }),
  'network-alias': list('Add network-scoped alias for the container'),
  'no-healthcheck': bool('Disable any container-specified HEALTHCHECK'),
  'on-unhealthy': string('What happens when the health check has failed for good ("none"|"restart")', {
    complete: ['none', 'restart'],
  }),
  'oom-kill-disable': bool('Disable OOM Killer'),
  'oom-score-adj': int("Tune host's OOM preferences (-1000 to 1000)"),
  pid: string('PID namespace to use'),
  'pids-limit': int('Tune container pids limit (set -1 for unlimited)'),
  platform: string('Set platform if server is multi-platform capable'),
  privileged: bool('Give extended privileges to this container'),
  publish: list("Publish a container's port(s) to the host", { short: 'p' }),
  'publish-all': bool('Publish all exposed ports to random ports', { short: 'P' }),
  pull: string('Pull image before running ("always", "missing", "never")', {
    initial: 'missing',
    complete: ['always', 'missing', 'never'],
  }),
  quiet: bool('Suppress the pull output', { short: 'q' }),
  'read-only': bool("Mount the container's root filesystem as read only"),
  restart: string('Restart policy to apply when a container exits', {
    initial: 'no',
    complete: ['no', 'always', 'on-failure', 'unless-stopped'],
  }),
  rm: bool('Automatically remove the container and its associated anonymous volumes when it exits'),
  runtime: string('Runtime to use for this container'),
  'security-opt': list('Security Options'),
  hardened: bool(
    'Drop every capability, no new privileges, a read-only root with /tmp and /run in memory, at most 512 processes',
  ),
  'shm-size': bytes('Size of /dev/shm'),
  'stop-signal': string('Signal to stop the container'),
  'stop-timeout': int('Timeout (in seconds) to stop a container'),
  'storage-opt': list('Storage driver options for the container'),
  sysctl: map('Sysctl options', { check: checkSysctl }),
  tmpfs: list('Mount a tmpfs directory'),
  tty: bool('Allocate a pseudo-TTY', { short: 't' }),
  ulimit: each('ulimit', 'Ulimit options', parseUlimit, { defaultText: '[]' }),
  'api-socket': string(
    'Give the container the socket of a scope: its name, or what it may do (ro,project=NAME,image=PATTERN)',
    {
      kind: 'scope',
    },
  ),
  'use-api-socket': bool("Bind mount the engine's API socket"),
  user: string('Username or UID (format: <name|uid>[:<group|gid>])', { short: 'u' }),
  userns: string('User namespace to use ("host"|"auto[:size=N]")', { complete: ['host', 'auto'] }),
  uts: string('UTS namespace to use'),
  volume: list('Bind mount a volume', { short: 'v' }),
  'volume-driver': string('Optional volume driver for the container'),
  'volumes-from': list('Mount volumes from the specified container(s)', { complete: 'container' }),
  workdir: string('Working directory inside the container', { short: 'w' }),
};

export type ContainerFlags = FlagValues<typeof CONTAINER_FLAGS>;

function parseStream(text: string): string {
  const name = text.toLowerCase();
  if (!['stdin', 'stdout', 'stderr'].includes(name)) throw new Error('valid streams are STDIN, STDOUT and STDERR');
  return name;
}

/** `host:ip` or `host=ip`; the engine knows `host-gateway`. */
export function parseExtraHost(text: string): string {
  const cut = /^([^=:]+)[=:](.*)$/s.exec(text);
  if (!cut || cut[2] === '') throw new Error(`bad format for add-host: ${JSON.stringify(text)}`);
  const address = cut[2]!.replace(/^\[(.*)\]$/, '$1');
  if (address !== 'host-gateway') {
    try {
      checkIp(address);
    } catch {
      throw new Error(`invalid IP address in add-host: ${JSON.stringify(address)}`);
    }
  }
  return `${cut[1]}:${address}`;
}

function parseDnsSearch(text: string): string {
  const name = text.trim();
  if (name === '.') return name;
  if (!/^(?:[\p{L}\p{N}](?:[\p{L}\p{N}_-]{0,61}[\p{L}\p{N}])?\.?)+$/u.test(name))
    throw new Error(`${text} is not a valid domain`);
  return name;
}

const IPC_SYSCTLS = ['msgmax', 'msgmnb', 'msgmni', 'sem', 'shmall', 'shmmax', 'shmmni', 'shm_rmid_forced'];

/** Only what belongs to a namespace of the container. */
function checkSysctl(text: string): void {
  const cut = text.indexOf('=');
  const name = text.slice(0, Math.max(0, cut));
  const known =
    IPC_SYSCTLS.some((item) => name === `kernel.${item}`) || name.startsWith('net.') || name.startsWith('fs.mqueue.');
  if (cut < 0 || !known) throw new Error(`sysctl '${text}' is not allowed`);
}
