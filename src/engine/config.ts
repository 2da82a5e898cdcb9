import { isIP } from 'node:net';
import { isAbsolute, join } from 'node:path';
import type { LogConfig, Ulimit } from '../api/container.ts';
import { EngineError } from '../base/errors.ts';
import type { HostSockets } from '../linux/host-sockets.ts';
import type { TrashPolicy } from './trash/trash.ts';
import type { ContainerIds } from '../state/containers.ts';
import type { CachePolicy } from './builder/build-cache.ts';
import { checkLogConfig, logLimits } from '../runtime/spec/validate-log.ts';

/** Everything an engine is told at its start. Made by `engineConfig`, which fills in what is not said. */
export interface EngineConfig {
  /** Survives a reboot. */
  readonly dataRoot: string;
  /** May be gone after a reboot. */
  readonly execRoot: string;
  /** Programs by name; a path without a slash is looked up in PATH. */
  readonly runtimes: Readonly<Record<string, RuntimeConfig>>;
  /** `auto` is crun where it works, else runc. */
  readonly defaultRuntime: string;
  readonly logDriver: string;
  /** For the default driver, as `--log-opt` takes them. */
  readonly logOptions: Readonly<Record<string, string>>;
  /** Below which cgroup containers run, unless they ask for another. */
  readonly cgroupParent: string;
  /** The default network: its interface, and the host's address on it with its prefix. What is not said is chosen so that engines and routes of the host do not collide. */
  readonly bridge: {
    readonly name?: string | undefined;
    readonly cidr?: string | undefined;
    readonly mtu?: number | undefined;
    readonly icc?: boolean | undefined;
    readonly masquerade?: boolean | undefined;
    readonly ipv6?: boolean | undefined;
    /** Of its subnet, what containers get addresses of. */
    readonly range?: string | undefined;
    /** With `ipv6`; otherwise a free one is taken. */
    readonly subnet6?: string | undefined;
  };
  /** Ranges that new networks take their subnets from, each split into subnets of `size` bits; undefined is the built-in list. */
  readonly addressPools: readonly { readonly base: string; readonly size: number }[] | undefined;
  /** Where ports are published that name no address. */
  readonly publishAddress: string;
  /**
   * The host's rules for its own input decide who but the host reaches published ports: clients come to the engine's socket
   * and are passed on. The price: the container does not see their address, and while no engine runs they are refused.
   */
  readonly respectHostFirewall: boolean;
  /** Other hosts reach published ports by the containers' own addresses, too. */
  readonly allowDirectRouting: boolean;
  /** Options that new networks get when they do not name them, by driver. */
  readonly networkOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly dns: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly dnsSearch: readonly string[];
  /** The engine's own, shown by `info`. */
  readonly labels: readonly string[];
  readonly init: boolean;
  readonly initPath: string | undefined;
  /** Bytes. */
  readonly shmSize: number;
  readonly ulimits: readonly Ulimit[];
  readonly stopTimeoutSeconds: number;
  readonly ipcMode: 'private' | 'shareable';
  readonly cgroupNamespace: 'private' | 'host' | undefined;
  readonly noNewPrivileges: boolean;
  /** A JSON file, `unconfined`, or undefined for the built-in profile. */
  readonly seccompProfile: string | undefined;
  /** Hosts of registries that may be spoken to without TLS. */
  readonly insecureRegistries: readonly string[];
  readonly registryMirrors: readonly string[];
  /** Bytes a second; a registry that moves fewer is given up. Undefined is the client's default, 0 none. */
  readonly registryMinRate: number | undefined;
  /** Over what time that is measured, and how long nothing at all may move. */
  readonly registryStallMs: number | undefined;
  /** What may be pulled, run and built upon (docs/supply-chain.md); need not be there. */
  readonly imagePolicy: string;
  /** Each may have `<host>/hosts.toml` and certificates, best first. */
  readonly registryConfigDirectories: readonly string[];
  /** Specifications of devices that builds may have (CDI), later directories over earlier ones. */
  readonly deviceDirectories: readonly string[];
  /** With what secrets are sealed; made when the first one is. Undefined is `secrets.key` in the data root. */
  readonly secretKeyFile: string | undefined;
  /** How much builds may keep for later ones (bytes); false: nothing of it goes by itself. */
  readonly buildCache: CachePolicy | false;
  /** Bytes that the engine may use, volumes not counted; undefined is no bound. */
  readonly diskBudget: number | undefined;
  /** Images and build cache that nobody used for so long go by themselves. */
  readonly diskUnusedForMs: number | undefined;
  /** So many of the newest images of each repository stay whatever the budget. */
  readonly diskKeepLast: number;
  /** Ids of the host that stand for those of all containers that ask for nothing else: `default`, `user`, `user:group` of subuid(5), or ranges. */
  readonly usernsRemap: string | ContainerIds | undefined;
  /** How long what was removed can be brought back; undefined: not at all. */
  readonly trash: TrashPolicy | undefined;
  /** Makes sockets of the host for an engine that has a network namespace of its own (docs/decisions/0019). */
  readonly hostSockets: HostSockets | undefined;
  readonly debug: boolean;
  /** One line for whoever looks after the engine. */
  readonly report: (message: string) => void;
}

export interface RuntimeConfig {
  readonly path: string;
  readonly args?: readonly string[];
}

export type EngineOptions = Partial<EngineConfig>;

/** Throws `invalid-argument`, naming the setting. */
export function engineConfig(options: EngineOptions = {}): EngineConfig {
  const dataRoot = options.dataRoot ?? '/var/lib/gantry';
  const config: EngineConfig = {
    execRoot: options.dataRoot === undefined ? '/run/gantry' : join(dataRoot, 'exec'),
    defaultRuntime: 'auto',
    logDriver: 'json-file',
    logOptions: { 'max-size': '10m', 'max-file': '3' },
    cgroupParent: '/gantry',
    bridge: {},
    addressPools: undefined,
    publishAddress: '0.0.0.0',
    respectHostFirewall: false,
    allowDirectRouting: false,
    networkOptions: {},
    dns: [],
    dnsOptions: [],
    dnsSearch: [],
    labels: [],
    init: false,
    initPath: undefined,
    shmSize: 64 << 20,
    ulimits: [],
    stopTimeoutSeconds: 10,
    ipcMode: 'private',
    cgroupNamespace: undefined,
    noNewPrivileges: false,
    seccompProfile: undefined,
    buildCache: {},
    insecureRegistries: [],
    registryMirrors: [],
    registryMinRate: undefined,
    registryStallMs: undefined,
    imagePolicy: '/etc/gantry/policy.json',
    // Ours and Docker's place.
    deviceDirectories: ['/etc/cdi', '/var/run/cdi', '/etc/buildkit/cdi'],
    registryConfigDirectories: ['/etc/gantry/certs.d', '/etc/docker/certs.d'],
    secretKeyFile: undefined,
    diskBudget: undefined,
    diskUnusedForMs: undefined,
    diskKeepLast: 1,
    trash: undefined,
    usernsRemap: undefined,
    hostSockets: undefined,
    debug: false,
    report: () => {},
    ...withoutUndefined(options),
    dataRoot,
    runtimes: { crun: { path: 'crun' }, runc: { path: 'runc' }, ...options.runtimes },
  };
  check(config);
  return Object.freeze(config);
}

function check(config: EngineConfig): void {
  const wrong = (setting: string, words: string): never => {
    throw new EngineError('invalid-argument', `engine configuration: ${setting} ${words}`);
  };
  for (const setting of ['dataRoot', 'execRoot'] as const) {
    if (!isAbsolute(config[setting]))
      wrong(setting, `must be an absolute path, not ${JSON.stringify(config[setting])}`);
  }
  if (config.defaultRuntime !== 'auto' && !Object.hasOwn(config.runtimes, config.defaultRuntime)) {
    wrong(
      'defaultRuntime',
      `${config.defaultRuntime} is not among the runtimes (${Object.keys(config.runtimes).join(', ')})`,
    );
  }
  if (config.secretKeyFile !== undefined && !isAbsolute(config.secretKeyFile))
    wrong('secretKeyFile', `must be an absolute path, not ${JSON.stringify(config.secretKeyFile)}`);
  for (const [name, runtime] of Object.entries(config.runtimes)) {
    if (!/^[A-Za-z0-9._-]+$/.test(name) || runtime.path === '')
      wrong('runtimes', `has a broken entry ${JSON.stringify(name)}`);
  }
  if (config.bridge.name !== undefined && !/^[a-zA-Z0-9_.-]{1,15}$/.test(config.bridge.name)) {
    wrong('bridge.name', `${JSON.stringify(config.bridge.name)} is no name for an interface (1 to 15 characters)`);
  }
  if (isIP(config.publishAddress) === 0) {
    wrong('publishAddress', `must be an IP address, not ${JSON.stringify(config.publishAddress)}`);
  }
  if (!Number.isInteger(config.stopTimeoutSeconds) || config.stopTimeoutSeconds < -1)
    wrong('stopTimeoutSeconds', 'must be -1 or more');
  if (!Number.isSafeInteger(config.shmSize) || config.shmSize <= 0) wrong('shmSize', 'must be a number of bytes');
  for (const label of config.labels)
    if (label === '' || label.startsWith('=')) wrong('labels', `has ${JSON.stringify(label)}`);
  checkLogConfig({ Type: config.logDriver, Config: { ...config.logOptions } });
}

function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/** Bytes and files of a container's log record. Without `max-size` an explicit json-file configuration keeps our bound: see docs. */
export function logBounds(log: LogConfig, config: EngineConfig): { maxBytes: number; maxFiles: number } {
  const type = log.Type || config.logDriver;
  const defaults = type === config.logDriver ? config.logOptions : {};
  const { maxBytes, maxFiles } = logLimits({ Type: type, Config: { ...defaults, ...log.Config } });
  return { maxBytes, maxFiles };
}
