import { readFileSync } from 'node:fs';
import type { Filters } from '../api/filters.ts';
import { EngineError, errorMessage } from '../base/errors.ts';
import { parseSize } from '../base/size.ts';
import { type CacheSize, checkCacheFilters } from '../engine/builder/build-cache.ts';
import { type EngineOptions, engineConfig } from '../engine/config.ts';
import type { CommandLine } from './command-line.ts';
import { parseJson } from './json/parse.ts';
import { isLogLevel, type LogLevel } from './log.ts';
import { parseHost, type ListenAddress } from './listen-address.ts';
import { type Places, SYSTEM_PLACES } from './places.ts';
import { type BuilderSettings, SETTING_NAMES, type SettingName, type Settings, settingsShape } from './settings.ts';

/** Everything the daemon is told, from flags and file together. */
export interface DaemonConfig {
  readonly engine: EngineOptions;
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly hosts: readonly ListenAddress[];
  readonly pidfile: string | undefined;
  /** Of the unix socket; undefined is `docker`, when there is such a group. */
  readonly group: string | undefined;
  readonly log: { readonly level: LogLevel; readonly format: 'text' | 'json' };
  /** How long requests may take to end when the daemon is stopped. */
  readonly shutdownSeconds: number;
  readonly tls: TlsConfig | undefined;
  /** The images of this engine are served as a registry there. */
  readonly registry: { readonly addr: string | undefined; readonly file: string | undefined } | undefined;
  /** TCP without TLS was asked for in so many words. */
  readonly allowPlainTcp: boolean;
  /** TLS without certificates of clients was asked for in so many words. */
  readonly allowAnyTls: boolean;
}

export interface TlsConfig {
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Clients must have a certificate signed by it. */
  readonly clientCaFile: string | undefined;
}

/** Merges flags and settings file. Throws `invalid-argument`, in Docker's words where it has some. */
export function loadConfig(commandLine: CommandLine, places: Places = SYSTEM_PLACES): DaemonConfig {
  const file = commandLine.configFile ?? places.configFile;
  const fromFile = readSettings(file, commandLine.configFile !== undefined);
  refuseConflicts(file, commandLine.settings, fromFile);
  return daemonConfig({ ...fromFile, ...commandLine.settings }, places);
}

/** The settings file; an absent one that was not asked for is empty. */
function readSettings(file: string, asked: boolean): Settings {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    if (!asked && (error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    const why =
      (error as NodeJS.ErrnoException).code === 'ENOENT'
        ? `open ${file}: no such file or directory`
        : errorMessage(error);
    throw unable(file, why, error);
  }
  if (bytes.toString().trim() === '') return {};
  try {
    const value = parseJson(bytes);
    const settings = settingsShape.decode(value === null ? {} : value, 'Config');
    const unknown = Object.keys(value ?? {}).filter((name) => !SETTING_NAMES.has(name));
    if (unknown.length === 0) return settings;
    throw new EngineError(
      'invalid-argument',
      `the following directives don't match any configuration option: ${unknown.join(', ')}`,
    );
  } catch (error) {
    throw unable(file, errorMessage(error), error);
  }
}

function refuseConflicts(file: string, flags: Settings, settings: Settings): void {
  const show = (value: unknown): string => (Array.isArray(value) ? `[${value.join(' ')}]` : showPlain(value));
  const conflicts = (Object.keys(flags) as SettingName[])
    .filter((name) => settings[name] !== undefined)
    .map((name) => `${name}: (from flag: ${show(flags[name])}, from file: ${show(settings[name])})`);
  if (conflicts.length === 0) return;
  throw unable(
    file,
    `the following directives are specified both as a flag and in the configuration file: ${conflicts.join(', ')}`,
  );
}

function showPlain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function unable(file: string, why: string, cause?: unknown): EngineError {
  return new EngineError('invalid-argument', `unable to configure the daemon with file ${file}: ${why}`, { cause });
}

function daemonConfig(settings: Settings, places: Places): DaemonConfig {
  const level = settings.debug ? 'debug' : (settings['log-level'] ?? 'info');
  if (!isLogLevel(level)) throw new EngineError('invalid-argument', `invalid logging level: ${level}`);
  const format = settings['log-format'] ?? 'text';
  if (format !== 'text' && format !== 'json') {
    throw new EngineError('invalid-argument', `invalid log format: ${format}`);
  }
  if (settings['live-restore'] === false) {
    throw new EngineError(
      'invalid-argument',
      'live-restore cannot be false: containers always go on without the daemon',
    );
  }
  const engine = engineOptions(settings, level === 'debug', places);
  const { dataRoot, execRoot } = engineConfig(engine);
  return {
    engine,
    dataRoot,
    execRoot,
    hosts: (settings.hosts?.length ? settings.hosts : ['unix://']).map((host) => parseHost(host, places.socket)),
    pidfile: settings.pidfile || undefined,
    group: settings.group,
    log: { level, format },
    shutdownSeconds: settings['shutdown-timeout'] ?? 2,
    tls: tlsConfig(settings, places),
    registry: registryOptions(settings),
    allowPlainTcp: settings.tls === false && settings.tlsverify !== true,
    allowAnyTls: settings.tlsverify === false,
  };
}

function registryOptions({ registry, 'registry-config': file }: Settings): DaemonConfig['registry'] {
  return registry === undefined && file === undefined ? undefined : { addr: registry, file };
}

/** What is left out is the engine's to choose. */
function engineOptions(settings: Settings, debug: boolean, places: Places): EngineOptions {
  const ipcMode = settings['default-ipc-mode'];
  if (ipcMode !== undefined && ipcMode !== 'private' && ipcMode !== 'shareable') {
    throw new EngineError('invalid-argument', `IPC mode "${ipcMode}" is not supported as default`);
  }
  const cgroupNamespace = settings['default-cgroupns-mode'];
  if (cgroupNamespace !== undefined && cgroupNamespace !== 'private' && cgroupNamespace !== 'host') {
    throw new EngineError(
      'invalid-argument',
      `default cgroup namespace mode (${cgroupNamespace}) is invalid; valid values are "host" or "private"`,
    );
  }
  const options: { -readonly [K in keyof EngineOptions]: EngineOptions[K] | undefined } = {
    dataRoot: settings['data-root'] ?? places.dataRoot,
    execRoot: settings['exec-root'] ?? places.execRoot,
    runtimes: mapValues(settings.runtimes, ({ path, runtimeArgs }) => ({
      path,
      ...(runtimeArgs ? { args: runtimeArgs } : {}),
    })),
    defaultRuntime: settings['default-runtime'],
    logDriver: settings['log-driver'],
    logOptions: settings['log-opts'],
    cgroupParent: settings['cgroup-parent'],
    bridge: bridgeOptions(settings),
    addressPools: settings['default-address-pools'],
    publishAddress: publishAddress(settings),
    respectHostFirewall: settings['respect-host-firewall'],
    allowDirectRouting: settings['allow-direct-routing'],
    networkOptions: settings['default-network-opts'],
    ...(settings.builder && { buildCache: cacheLimits(settings.builder) }),
    dns: settings.dns,
    dnsOptions: settings['dns-opts'],
    dnsSearch: settings['dns-search'],
    labels: settings.labels,
    init: settings.init,
    initPath: settings['init-path'],
    shmSize: sizeOf(settings['default-shm-size']),
    ulimits: settings['default-ulimits'] && Object.values(settings['default-ulimits']),
    stopTimeoutSeconds: settings['default-stop-timeout'],
    ipcMode,
    cgroupNamespace,
    noNewPrivileges: settings['no-new-privileges'],
    seccompProfile: settings['seccomp-profile'],
    secretKeyFile: settings['secret-key-file'],
    diskBudget: sizeSetting(settings['disk-budget']),
    diskUnusedForMs: durationSetting('disk-unused-for', settings['disk-unused-for']),
    diskKeepLast: countSetting('disk-keep-last', settings['disk-keep-last']),
    trash: trashPolicy(settings),
    usernsRemap: settings['userns-remap'] || undefined,
    insecureRegistries: settings['insecure-registries'],
    registryMirrors: settings['registry-mirrors'],
    imagePolicy: settings['image-policy'] ?? places.imagePolicy,
    registryMinRate: countSetting('registry-min-rate', settings['registry-min-rate']),
    registryStallMs: secondsSetting('registry-stall-timeout', settings['registry-stall-timeout']),
    registryConfigDirectories: settings['registry-config-dirs'] ?? places.registryConfigDirectories,
    deviceDirectories: settings['cdi-spec-dirs'],
    debug,
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as EngineOptions;
}

/** Docker's name and ours for one setting. */
function publishAddress({ ip, 'publish-address': address }: Settings): string | undefined {
  if (ip !== undefined && address !== undefined && ip !== address) {
    throw new EngineError('invalid-argument', `ip (${ip}) and publish-address (${address}) are the same setting`);
  }
  return ip ?? address;
}

function bridgeOptions(settings: Settings): EngineOptions['bridge'] {
  const { bridge, bip, mtu, icc, ipv6 } = settings;
  const { 'ip-masq': masquerade, 'fixed-cidr': range, 'fixed-cidr-v6': subnet6 } = settings;
  if (bridge === 'none') {
    throw new EngineError('unimplemented', 'bridge=none is not supported: run containers with --network none instead');
  }
  return {
    ...(bridge ? { name: bridge } : {}),
    ...(bip ? { cidr: bip } : {}),
    ...(mtu ? { mtu } : {}),
    ...(icc === undefined ? {} : { icc }),
    ...(masquerade === undefined ? {} : { masquerade }),
    ...(ipv6 === undefined ? {} : { ipv6 }),
    ...(range ? { range } : {}),
    ...(subnet6 ? { subnet6 } : {}),
  };
}

function tlsConfig(settings: Settings, places: Places): TlsConfig | undefined {
  if (!settings.tls && !settings.tlsverify) return undefined;
  const file = (name: 'tlscacert' | 'tlscert' | 'tlskey', fallback: string): string =>
    settings[name] ?? `${places.tlsDirectory}/${fallback}`;
  return {
    certificateFile: file('tlscert', 'cert.pem'),
    keyFile: file('tlskey', 'key.pem'),
    clientCaFile: settings.tlsverify ? file('tlscacert', 'ca.pem') : undefined,
  };
}

function mapValues<T, U>(
  record: Record<string, T> | undefined,
  change: (value: T) => U,
): Record<string, U> | undefined {
  return record && Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

function sizeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const bytes = parseSize(text);
  if (bytes === undefined) throw new EngineError('invalid-argument', `invalid size: '${text}'`);
  return bytes;
}

/** Throws `invalid-argument`. */
function cacheLimits({ gc = {} }: BuilderSettings): EngineOptions['buildCache'] {
  if (gc.enabled === false) return false;
  const size = (text: string | undefined): CacheSize | undefined => {
    if (text === undefined || text === '') return undefined;
    const percent = /^(\d{1,2}|100)%$/.exec(text)?.[1];
    if (percent !== undefined) return { percent: Number(percent) };
    const bytes = parseSize(text);
    if (bytes === undefined)
      throw new EngineError('invalid-argument', `invalid size in builder.gc: ${JSON.stringify(text)}`);
    return bytes;
  };
  return {
    reserved: size(gc.defaultReservedSpace ?? gc.defaultKeepStorage),
    maxUsed: size(gc.defaultMaxUsedSpace),
    minFree: size(gc.defaultMinFreeSpace),
    rules: (gc.policy ?? []).map(({ all = false, filter = [], ...sizes }) => ({
      all,
      filters: ruleFilters(filter),
      reserved: size(sizes.reservedSpace ?? sizes.keepStorage),
      maxUsed: size(sizes.maxUsedSpace),
      minFree: size(sizes.minFreeSpace),
    })),
  };
}

/** `["type=source.local,type=source.http", "unused-for=48h"]`, with BuildKit's `==` too. Throws `invalid-argument`. */
function ruleFilters(lines: readonly string[]): Filters {
  const filters = new Map<string, string[]>();
  for (const text of lines.flatMap((line) => line.split(','))) {
    const [, name, value] = /^\s*([a-z-]+)\s*==?\s*(.*?)\s*$/.exec(text) ?? [];
    if (name === undefined || value === undefined)
      throw new EngineError('invalid-argument', `invalid filter in builder.gc.policy: ${JSON.stringify(text)}`);
    filters.set(name, [...(filters.get(name) ?? []), value]);
  }
  checkCacheFilters(filters);
  return filters;
}

function sizeSetting(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const bytes = parseSize(text);
  if (bytes !== undefined && bytes > 0) return bytes;
  throw new EngineError('invalid-argument', `invalid disk-budget ${JSON.stringify(text)}: give a size, as 20GB`);
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3600_000, d: 86_400_000 };

function durationSetting(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)([smhd])/g)];
  const sum = parts.reduce((total, [, count, unit]) => total + Number(count) * UNIT_MS[unit!]!, 0);
  if (parts.map(([whole]) => whole).join('') === text && sum > 0) return sum;
  throw new EngineError('invalid-argument', `invalid ${name} ${JSON.stringify(text)}: give a duration, as 168h`);
}

/** A person who removes something may want it back: a day, and a tenth of the disk. */
const TRASH_AGE_MS = 86_400_000;
const TRASH_SHARE = 0.1;

function trashPolicy(settings: Settings): EngineOptions['trash'] {
  const { trash = true, 'trash-size': size } = settings;
  const maxAgeMs = durationSetting('trash-age', settings['trash-age']) ?? TRASH_AGE_MS;
  if (!trash) return undefined;
  if (size === undefined) return { maxAgeMs, maxSize: { share: TRASH_SHARE } };
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(size)?.[1];
  if (percent !== undefined && Number(percent) <= 100) return { maxAgeMs, maxSize: { share: Number(percent) / 100 } };
  const bytes = parseSize(size);
  if (bytes !== undefined) return { maxAgeMs, maxSize: { bytes } };
  throw new EngineError(
    'invalid-argument',
    `invalid trash-size ${JSON.stringify(size)}: give a size, as 20GB, or a part of the disk, as 10%`,
  );
}

function countSetting(name: string, count: number | undefined): number | undefined {
  if (count === undefined || count >= 0) return count;
  throw new EngineError('invalid-argument', `invalid ${name} ${count}`);
}

/** Milliseconds. */
function secondsSetting(name: string, seconds: number | undefined): number | undefined {
  if (seconds === undefined) return undefined;
  if (seconds >= 1 && seconds <= 86_400) return seconds * 1000;
  throw new EngineError('invalid-argument', `invalid ${name} ${seconds}: it takes 1 to 86400 seconds`);
}
