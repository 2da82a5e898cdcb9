import type { Ulimit } from '../api/container.ts';
import { EngineError } from '../base/errors.ts';
import { bool, type Fields, int, list, map, string, struct } from './json/shape.ts';

/** `daemon.json`, with Docker's names; the flags make the same document. */
export interface Settings {
  'data-root'?: string;
  'exec-root'?: string;
  hosts?: string[];
  pidfile?: string;
  group?: string;
  bridge?: string;
  bip?: string;
  ip?: string;
  'publish-address'?: string;
  'respect-host-firewall'?: boolean;
  icc?: boolean;
  'ip-masq'?: boolean;
  ipv6?: boolean;
  'fixed-cidr'?: string;
  'fixed-cidr-v6'?: string;
  'allow-direct-routing'?: boolean;
  'default-network-opts'?: Record<string, Record<string, string>>;
  mtu?: number;
  'default-address-pools'?: AddressPool[];
  dns?: string[];
  'dns-opts'?: string[];
  'dns-search'?: string[];
  'insecure-registries'?: string[];
  'registry-mirrors'?: string[];
  'registry-config-dirs'?: string[];
  'cdi-spec-dirs'?: string[];
  'registry-min-rate'?: number;
  'registry-stall-timeout'?: number;
  'image-policy'?: string;
  registry?: string;
  'registry-config'?: string;
  'default-runtime'?: string;
  runtimes?: Record<string, RuntimeSetting>;
  'cgroup-parent'?: string;
  'default-ulimits'?: Record<string, Ulimit>;
  'default-shm-size'?: string;
  'default-ipc-mode'?: string;
  'default-cgroupns-mode'?: string;
  'no-new-privileges'?: boolean;
  'seccomp-profile'?: string;
  'secret-key-file'?: string;
  'disk-budget'?: string;
  'disk-unused-for'?: string;
  'disk-keep-last'?: number;
  'userns-remap'?: string;
  trash?: boolean;
  'trash-age'?: string;
  'trash-size'?: string;
  init?: boolean;
  'init-path'?: string;
  'log-driver'?: string;
  'log-opts'?: Record<string, string>;
  labels?: string[];
  debug?: boolean;
  'log-level'?: string;
  builder?: BuilderSettings;
  'log-format'?: string;
  'live-restore'?: boolean;
  'default-stop-timeout'?: number;
  'shutdown-timeout'?: number;
  tls?: boolean;
  tlsverify?: boolean;
  tlscacert?: string;
  tlscert?: string;
  tlskey?: string;
}

export interface AddressPool {
  base: string;
  size: number;
}

export interface RuntimeSetting {
  path: string;
  runtimeArgs?: string[];
}

const ulimit = struct<Ulimit>('units.Ulimit', { Name: string, Soft: int, Hard: int });

const fields: Fields<Settings> = {
  'data-root': string,
  'exec-root': string,
  hosts: list(string),
  pidfile: string,
  group: string,
  bridge: string,
  bip: string,
  ip: string,
  'publish-address': string,
  'respect-host-firewall': bool,
  icc: bool,
  'ip-masq': bool,
  ipv6: bool,
  'fixed-cidr': string,
  'fixed-cidr-v6': string,
  'allow-direct-routing': bool,
  'default-network-opts': map(map(string)),
  mtu: int,
  'default-address-pools': list(struct<AddressPool>('ipamutils.NetworkToSplit', { base: string, size: int })),
  dns: list(string),
  'dns-opts': list(string),
  'dns-search': list(string),
  'insecure-registries': list(string),
  'registry-mirrors': list(string),
  'registry-config-dirs': list(string),
  'cdi-spec-dirs': list(string),
  'registry-min-rate': int,
  'registry-stall-timeout': int,
  'image-policy': string,
  registry: string,
  'registry-config': string,
  'default-runtime': string,
  runtimes: map(struct<RuntimeSetting>('system.Runtime', { path: string, runtimeArgs: list(string) })),
  'cgroup-parent': string,
  'default-ulimits': map(ulimit),
  'default-shm-size': string,
  'default-ipc-mode': string,
  'default-cgroupns-mode': string,
  'no-new-privileges': bool,
  'seccomp-profile': string,
  'secret-key-file': string,
  'disk-budget': string,
  'disk-unused-for': string,
  'disk-keep-last': int,
  'userns-remap': string,
  trash: bool,
  'trash-age': string,
  'trash-size': string,
  init: bool,
  'init-path': string,
  'log-driver': string,
  'log-opts': map(string),
  labels: list(string),
  debug: bool,
  'log-level': string,
  builder: struct<BuilderSettings>('config.BuilderConfig', {
    gc: struct<BuilderGcSettings>('config.BuilderGCConfig', {
      enabled: bool,
      defaultKeepStorage: string,
      defaultReservedSpace: string,
      defaultMaxUsedSpace: string,
      defaultMinFreeSpace: string,
      policy: list(
        struct<BuilderGcRule>('config.BuilderGCRule', {
          all: bool,
          filter: list(string),
          keepStorage: string,
          reservedSpace: string,
          maxUsedSpace: string,
          minFreeSpace: string,
        }),
      ),
    }),
  }),
  'log-format': string,
  'live-restore': bool,
  'default-stop-timeout': int,
  'shutdown-timeout': int,
  tls: bool,
  tlsverify: bool,
  tlscacert: string,
  tlscert: string,
  tlskey: string,
};

/** Decodes a settings file. */
/** Docker's own settings of the build cache, in sizes (`10GB`). */
export interface BuilderSettings {
  gc?: BuilderGcSettings;
}

export interface BuilderGcSettings {
  enabled?: boolean;
  defaultKeepStorage?: string;
  defaultReservedSpace?: string;
  defaultMaxUsedSpace?: string;
  defaultMinFreeSpace?: string;
  policy?: BuilderGcRule[];
}

export interface BuilderGcRule {
  all?: boolean;
  /** `unused-for=48h`, `type=source.local,type=source.http`: what one line names are alternatives. */
  filter?: string[];
  keepStorage?: string;
  reservedSpace?: string;
  maxUsedSpace?: string;
  minFreeSpace?: string;
}

export const settingsShape = struct<Settings>('config.Config', fields);

export const SETTING_NAMES: ReadonlySet<string> = new Set(Object.keys(fields));

export type SettingName = keyof Settings;

/** How a flag sets its setting. Throws `invalid-argument`. */
export interface Flag {
  readonly name: string;
  readonly short?: string;
  readonly setting: SettingName;
  /** What stands for its value in the help; undefined for a switch. */
  readonly value?: string;
  readonly help: string;
  /** Gives the setting's new value from its value so far. */
  readonly apply: (text: string, before: never) => unknown;
}

const text = (value: string): string => value;
const number = (value: string): number => {
  if (!/^[+-]?\d{1,10}$/.test(value)) throw wrong(`strconv.ParseInt: parsing "${value}": invalid syntax`);
  return Number(value);
};
const truth = (value: string): boolean => {
  if (/^(?:1|t|true)$/i.test(value)) return true;
  if (/^(?:0|f|false)$/i.test(value)) return false;
  throw wrong(`strconv.ParseBool: parsing "${value}": invalid syntax`);
};
const append = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];
const appendAll = (value: string, before: string[] | undefined): string[] => [...(before ?? []), ...value.split(',')];

/** Every flag of `gantry daemon` that stands for a setting; the names are dockerd's. */
export const FLAGS: readonly Flag[] = [
  flag('data-root', 'data-root', text, 'DIR', 'Root directory of persistent state (default "/var/lib/gantry")'),
  flag('exec-root', 'exec-root', text, 'DIR', 'Root directory for execution state (default "/run/gantry")'),
  flag('host', 'hosts', append, 'HOST', 'Where to listen: unix://PATH, tcp://ADDRESS:PORT or fd:// (repeatable)', 'H'),
  flag('pidfile', 'pidfile', text, 'FILE', 'File for the daemon’s process id', 'p'),
  flag('group', 'group', text, 'GROUP', 'Group of the unix socket (default "docker", when there is one)', 'G'),
  flag('bridge', 'bridge', text, 'NAME', 'Interface of the default bridge network (default "gantry0")', 'b'),
  flag('bip', 'bip', text, 'CIDR', 'Address of the default bridge, with its subnet'),
  flag('ip', 'ip', text, 'ADDRESS', 'Address on which ports are published that name none (default 0.0.0.0)'),
  flag('publish-address', 'publish-address', text, 'ADDRESS', 'The same as --ip, by the name that says what it is'),
  flag(
    'respect-host-firewall',
    'respect-host-firewall',
    truth,
    undefined,
    'Published ports are reached only where the host’s own firewall lets clients in; the engine passes them on',
  ),
  flag('icc', 'icc', truth, undefined, 'Let containers on the default bridge reach each other (default true)'),
  flag(
    'ip-masq',
    'ip-masq',
    truth,
    undefined,
    'Let the default bridge reach other hosts by the address of this one (default true)',
  ),
  flag('ipv6', 'ipv6', truth, undefined, 'Give the default bridge IPv6 addresses, too'),
  flag(
    'fixed-cidr',
    'fixed-cidr',
    text,
    'CIDR',
    'Part of the default bridge’s subnet that containers get addresses of',
  ),
  flag('fixed-cidr-v6', 'fixed-cidr-v6', text, 'CIDR', 'IPv6 subnet of the default bridge'),
  flag(
    'allow-direct-routing',
    'allow-direct-routing',
    truth,
    undefined,
    'Let other hosts reach published ports by the containers’ own addresses, too',
  ),
  flag(
    'default-network-opt',
    'default-network-opts',
    addNetworkOption,
    'DRIVER=NAME=VALUE',
    'Option of new networks of a driver (repeatable)',
  ),
  flag('mtu', 'mtu', number, 'BYTES', 'MTU of the default bridge'),
  flag('default-address-pool', 'default-address-pools', addPool, 'base=CIDR,size=BITS', 'Subnets for new networks'),
  flag('dns', 'dns', addAddress, 'ADDRESS', 'Name server for containers (repeatable)'),
  flag('dns-opt', 'dns-opts', append, 'OPTION', 'Resolver option for containers (repeatable)'),
  flag('dns-search', 'dns-search', append, 'DOMAIN', 'Search domain for containers (repeatable)'),
  flag('insecure-registry', 'insecure-registries', append, 'HOST', 'Registry that may be spoken to without TLS'),
  flag('registry-mirror', 'registry-mirrors', append, 'URL', 'Mirror of Docker Hub'),
  flag(
    'image-policy',
    'image-policy',
    text,
    'FILE',
    'What may be pulled, run and built upon (default "/etc/gantry/policy.json", when there is one)',
  ),
  flag(
    'cdi-spec-dir',
    'cdi-spec-dirs',
    append,
    'DIR',
    'Descriptions of devices for builds (default "/etc/cdi", "/var/run/cdi" and "/etc/buildkit/cdi")',
  ),
  flag(
    'registry-config-dir',
    'registry-config-dirs',
    append,
    'DIR',
    'Directory with HOST/hosts.toml and certificates (default "/etc/gantry/certs.d" and "/etc/docker/certs.d")',
  ),
  flag(
    'registry-min-rate',
    'registry-min-rate',
    number,
    'BYTES',
    'Give up a connection to a registry that moves fewer bytes a second (default 1024; 0 waits for ever)',
  ),
  flag(
    'registry-stall-timeout',
    'registry-stall-timeout',
    number,
    'SECONDS',
    'Give up a connection to a registry on which nothing moves for so long; the time that rates are measured over (default 60)',
  ),
  flag('registry', 'registry', text, 'ADDRESS:PORT', 'Serve the images of this engine as a registry'),
  flag('registry-config', 'registry-config', text, 'FILE', 'Settings of that registry: TLS, logins, limits (JSON)'),
  flag('default-runtime', 'default-runtime', text, 'NAME', 'OCI runtime for containers (default crun, else runc)'),
  flag('add-runtime', 'runtimes', addRuntime, 'NAME=PATH', 'Register a further OCI runtime (repeatable)'),
  flag('cgroup-parent', 'cgroup-parent', text, 'PATH', 'Cgroup below which containers run (default "/gantry")'),
  flag('default-ulimit', 'default-ulimits', addUlimit, 'NAME=SOFT[:HARD]', 'Ulimit for containers (repeatable)'),
  flag('default-shm-size', 'default-shm-size', text, 'SIZE', 'Size of /dev/shm in containers (default 64m)'),
  flag('default-ipc-mode', 'default-ipc-mode', text, 'MODE', 'shareable or private (default private)'),
  flag('default-cgroupns-mode', 'default-cgroupns-mode', text, 'MODE', 'host or private'),
  flag('no-new-privileges', 'no-new-privileges', truth, undefined, 'Set no-new-privileges for all containers'),
  flag('seccomp-profile', 'seccomp-profile', text, 'FILE', 'Seccomp profile instead of the built-in one'),
  flag('disk-budget', 'disk-budget', text, 'SIZE', 'What images, cache, containers and logs may use of the disk'),
  flag('disk-unused-for', 'disk-unused-for', text, 'DURATION', 'Remove images and cache unused for so long, as 168h'),
  flag('disk-keep-last', 'disk-keep-last', number, 'COUNT', 'Newest images of each repository that stay (default 1)'),
  flag('userns-remap', 'userns-remap', text, 'USER', 'Subordinate ids of this user for all containers (default none)'),
  flag('trash', 'trash', truth, undefined, 'Keep what is removed for a while, for gantry undo (default true)'),
  flag('trash-age', 'trash-age', text, 'DURATION', 'How long (default 24h)'),
  flag('trash-size', 'trash-size', text, 'SIZE', 'How much: a size, or a part of the disk (default 10%)'),
  flag(
    'secret-key-file',
    'secret-key-file',
    text,
    'FILE',
    'Key that secrets are sealed with (default "secrets.key" in the data root)',
  ),
  flag('init', 'init', truth, undefined, 'Run an init in containers that forwards signals and reaps processes'),
  flag('init-path', 'init-path', text, 'FILE', 'The init to run'),
  flag('log-driver', 'log-driver', text, 'DRIVER', 'json-file, local or none (default "json-file")'),
  flag('log-opt', 'log-opts', addPair, 'NAME=VALUE', 'Option of the log driver (repeatable)'),
  flag('label', 'labels', addLabel, 'NAME=VALUE', 'Label of this daemon (repeatable)'),
  flag('debug', 'debug', truth, undefined, 'Log what the daemon does', 'D'),
  flag('log-level', 'log-level', text, 'LEVEL', 'debug, info, warn, error or fatal (default "info")', 'l'),
  flag('log-format', 'log-format', text, 'FORMAT', 'text or json (default "text")'),
  flag('live-restore', 'live-restore', truth, undefined, 'Always so here: containers go on without the daemon'),
  flag('default-stop-timeout', 'default-stop-timeout', number, 'SECONDS', 'Time to stop for containers (default 10)'),
  flag('shutdown-timeout', 'shutdown-timeout', number, 'SECONDS', 'Time for requests to end when stopped (default 2)'),
  flag(
    'tls',
    'tls',
    truth,
    undefined,
    'Use TLS, off loopback for tokens of scopes only; --tls=false allows TCP without it',
  ),
  flag(
    'tlsverify',
    'tlsverify',
    truth,
    undefined,
    'Use TLS and verify clients; --tlsverify=false lets any client in by TLS',
  ),
  flag('tlscacert', 'tlscacert', text, 'FILE', 'Trust client certificates signed by this CA'),
  flag('tlscert', 'tlscert', text, 'FILE', 'TLS certificate'),
  flag('tlskey', 'tlskey', text, 'FILE', 'TLS key'),
];

function flag(
  name: string,
  setting: SettingName,
  apply: (text: string, before: never) => unknown,
  value: string | undefined,
  help: string,
  short?: string,
): Flag {
  return { name, setting, apply, help, ...(value === undefined ? {} : { value }), ...(short ? { short } : {}) };
}

function wrong(message: string): EngineError {
  return new EngineError('invalid-argument', message);
}

function addAddress(value: string, before: string[] | undefined): string[] {
  for (const address of value.split(',')) {
    if (!/^[0-9a-fA-F:.]+$/.test(address)) throw wrong(`invalid string being converted to IP address: ${address}`);
  }
  return appendAll(value, before);
}

function addLabel(value: string, before: string[] | undefined): string[] {
  if (!/^[^=]+=/.test(value)) throw wrong(`bad attribute format: ${value}`);
  return append(value, before);
}

function addPair(value: string, before: Record<string, string> | undefined): Record<string, string> {
  const cut = value.indexOf('=');
  if (cut < 1) throw wrong(`bad format for key-value pair: ${value}`);
  return Object.assign(Object.create(null) as Record<string, string>, before, {
    [value.slice(0, cut)]: value.slice(cut + 1),
  });
}

function addRuntime(value: string, before: Record<string, RuntimeSetting> | undefined): Record<string, RuntimeSetting> {
  const cut = value.indexOf('=');
  if (cut < 1 || cut === value.length - 1) throw wrong(`invalid runtime argument: ${value}`);
  return Object.assign(Object.create(null) as Record<string, RuntimeSetting>, before, {
    [value.slice(0, cut)]: { path: value.slice(cut + 1) },
  });
}

function addUlimit(value: string, before: Record<string, Ulimit> | undefined): Record<string, Ulimit> {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(value);
  if (!match) throw wrong(`invalid ulimit argument: ${value}`);
  const [, name, soft, hard] = match;
  return Object.assign(Object.create(null) as Record<string, Ulimit>, before, {
    [name!]: { Name: name!, Soft: Number(soft), Hard: Number(hard ?? soft) },
  });
}

function addNetworkOption(
  value: string,
  before: Record<string, Record<string, string>> | undefined,
): Record<string, Record<string, string>> {
  const [, driver, name, given] = /^([^=]+)=([^=]+)=(.*)$/.exec(value) ?? [];
  if (driver === undefined) throw wrong(`invalid default network option '${value}': it is driver=name=value`);
  return { ...before, [driver]: { ...before?.[driver], [name!]: given! } };
}

function addPool(value: string, before: AddressPool[] | undefined): AddressPool[] {
  const pool: Partial<AddressPool> = {};
  for (const field of value.split(',')) {
    const [key, given] = field.split('=', 2);
    if (given === undefined) throw wrong(`invalid field '${field}' must be a key=value pair`);
    if (key === 'base') pool.base = given;
    else if (key === 'size') pool.size = number(given);
    else throw wrong(`unexpected key '${key}' in '${field}'`);
  }
  if (pool.base === undefined || pool.size === undefined) throw wrong(`a pool needs base and size: ${value}`);
  return [...(before ?? []), { base: pool.base, size: pool.size }];
}
