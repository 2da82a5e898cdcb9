import { hostname } from 'node:os';
import { SCOPE_LABEL } from '../../api/scope.ts';
import type {
  ContainerConfig,
  ContainerCreateRequest,
  ContainerCreateResponse,
  HostConfig,
} from '../../api/container.ts';
import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import { newId, shortId } from '../../base/ids.ts';
import { now, within } from '../../base/time.ts';
import type { ImageRunConfig } from '../../oci/image.ts';
import type { ScaffoldEntry } from '../../snapshot/scaffold.ts';
import { type ContainerMount, type ContainerRecord, NEVER_RUN } from '../../state/containers.ts';
import { harden } from '../../runtime/spec/hardened.ts';
import { DEFAULT_READONLY_PATHS, defaultMaskedPaths } from '../../runtime/spec/mounts.ts';
import { checkLogConfig } from '../../runtime/spec/validate-log.ts';
import type { EngineConfig } from '../config.ts';
import { checkContainerName, generateName } from '../names.ts';
import { type ContainerContext, findContainer, publishContainerEvent } from './context.ts';
import { networkedContainer } from './networked.ts';
import { checkRestartPolicy } from './restart-policy.ts';
import { parseSignal } from './signals.ts';

/** Makes a container that does not run yet. A failure leaves nothing, save volumes that were named and did not exist. */
export async function createContainer(
  context: ContainerContext,
  request: ContainerCreateRequest,
  options: { name?: string; platform?: string } = {},
): Promise<ContainerCreateResponse> {
  const { store, snapshots, volumes } = context;
  const { HostConfig: askedHost, NetworkingConfig, ...asked } = request;
  const name = options.name === undefined || options.name === '' ? undefined : checkContainerName(options.name);
  checkRequest(asked, askedHost ?? {});
  const hostConfig = fillHostConfig(askedHost ?? {}, context.config);
  // before the image is looked for: nobody should wait for a pull to be told
  context.specs.check(asked, hostConfig);
  if (name !== undefined) refuseTakenName(context, name);
  const image = await context.images.resolve(asked.Image ?? '', options.platform);

  const id = newId();
  const defaultHostname = hostConfig.NetworkMode === 'host' ? hostname() : shortId(id);
  const config = mergeConfig({ ...asked, Hostname: asked.Hostname || defaultHostname }, image.config.config);
  joinById(context, hostConfig);
  hostConfig.CgroupnsMode = context.specs.cgroupNamespace(hostConfig);
  if ((config.Entrypoint ?? []).length === 0 && (config.Cmd ?? []).length === 0) {
    throw new EngineError('invalid-argument', 'no command specified');
  }
  const hardened = harden(config, hostConfig);
  if (hostConfig.Secrets?.length) hostConfig.Secrets = context.secrets.plan(hostConfig.Secrets);
  const warnings = [...hardened, ...context.specs.check({ ...config, Hostname: asked.Hostname ?? '' }, hostConfig)];
  let record: ContainerRecord = {
    id,
    name: name ?? generateName((candidate) => store.byName(candidate) !== undefined),
    createdAt: now(),
    imageId: image.id,
    ...(image.descriptor && { imageDescriptor: image.descriptor }),
    platform: { os: image.config.os, architecture: image.config.architecture },
    chain: image.chain,
    config,
    hostConfig,
    mounts: [],
    networks: askedNetworks(NetworkingConfig?.EndpointsConfig, hostConfig),
    attachment: undefined,
    state: NEVER_RUN,
    restartCount: 0,
    stoppedByHand: false,
  };
  context.idsFor(hostConfig); // refused before anything is made
  warnings.push(...context.networking.check(networkedContainer(context, record)));

  const mounts: readonly ContainerMount[] = await volumes.plan({ id, config, hostConfig, image: image.config.config });
  record = { ...record, mounts };
  let prepared = false;
  try {
    await onceFreed(context, () => snapshots.prepare(id, image.chain, { scaffold: MOUNT_POINTS }));
    prepared = true;
    insert(context, record, name !== undefined);
    await context.store.written(record);
  } catch (error) {
    const made = context.store.get(id);
    if (made) context.store.remove(made);
    if (prepared) await snapshots.remove(id);
    await volumes.release(record, { anonymous: true });
    throw error;
  }
  publishContainerEvent(context, record, 'create');
  return { Id: id, Warnings: warnings };
}

/** What is being removed just now may be what the disk is full of: waited for, and tried once more. */
async function onceFreed(context: ContainerContext, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (errorCode(error) !== 'no-space') throw error;
    await within(REMOVALS_MS, context.background.settled());
    await within(REMOVALS_MS, context.snapshots.settled());
    await work();
  }
}

const REMOVALS_MS = 5000;

/** Namespaces of another container are joined by its id: its name may change. Throws `invalid-argument`: of a 404 clients think that the image is missing. */
function joinById(context: Pick<ContainerContext, 'store'>, hostConfig: HostConfig): void {
  for (const field of ['IpcMode', 'PidMode'] as const) {
    const name = /^container:(.+)$/.exec(hostConfig[field] ?? '')?.[1];
    if (name === undefined) continue;
    try {
      hostConfig[field] = `container:${findContainer(context, name).id}`;
    } catch (error) {
      throw new EngineError('invalid-argument', errorMessage(error), { cause: error });
    }
  }
  // a network's other container may still come: what does not resolve is said at start
  const network = /^container:(.+)$/.exec(hostConfig.NetworkMode ?? '')?.[1];
  if (network === undefined) return;
  try {
    hostConfig.NetworkMode = `container:${findContainer(context, network).id}`;
  } catch {
    return;
  }
}

/** A generated name that was taken in the meantime is made again; a given one is refused. */
function insert(context: ContainerContext, made: ContainerRecord, given: boolean): void {
  // in the same stretch as its writing: nobody else takes the range in between
  const ids = context.idsFor(made.hostConfig);
  const record = ids ? { ...made, ids } : made;
  if (given) {
    refuseTakenName(context, record.name);
    context.store.insert(record);
    return;
  }
  const name = generateName((candidate) => context.store.byName(candidate) !== undefined);
  context.store.insert(context.store.byName(record.name) ? { ...record, name } : record);
}

/** Throws `conflict` in the words that clients look for. */
export function refuseTakenName(context: Pick<ContainerContext, 'store'>, name: string): void {
  const holder = context.store.byName(name);
  if (!holder) return;
  throw new EngineError(
    'conflict',
    `Conflict. The container name "/${name}" is already in use by container "${holder.id}". You have to remove (or rename) that container to be able to reuse that name.`,
  );
}

function checkRequest(config: ContainerConfig, hostConfig: HostConfig): void {
  const invalid = (message: string): never => {
    throw new EngineError('invalid-argument', message);
  };
  if (config.WorkingDir && !config.WorkingDir.startsWith('/')) {
    invalid(`the working directory '${config.WorkingDir}' is invalid, it needs to be an absolute path`);
  }
  for (const variable of config.Env ?? []) {
    if (variable === '' || variable.startsWith('=')) invalid(`invalid environment variable: ${variable}`);
  }
  if (config.StopSignal) parseSignal(config.StopSignal);
  const policy = hostConfig.RestartPolicy ?? {};
  checkRestartPolicy(policy);
  if (hostConfig.AutoRemove && policy.Name && policy.Name !== 'no') {
    invalid("can't create 'AutoRemove' container with restart policy");
  }
  checkLogConfig(hostConfig.LogConfig);
  checkHealthcheck(config, invalid);
}

function checkHealthcheck({ Healthcheck: check }: ContainerConfig, invalid: (message: string) => never): void {
  if (!check) return;
  const least = 1_000_000;
  for (const [name, value] of [
    ['Interval', check.Interval],
    ['Timeout', check.Timeout],
    ['StartPeriod', check.StartPeriod],
    ['StartInterval', check.StartInterval],
  ] as const) {
    if (value !== undefined && value !== 0 && value < least) invalid(`${name} in Healthcheck cannot be less than 1ms`);
  }
  if ((check.Retries ?? 0) < 0) invalid('Retries in Healthcheck cannot be negative');
}

/** Of the engine's own clients, and of scopes: an image that has such labels would have its containers taken for theirs. */
const RESERVED_LABELS = ['gantry.kube.', SCOPE_LABEL];

/** The request, with what it leaves open taken from the image: Docker's rules, field by field. */
export function mergeConfig(asked: ContainerConfig, image: ImageRunConfig | undefined): ContainerConfig {
  const config: ContainerConfig = {
    ...asked,
    Hostname: asked.Hostname ?? '',
    Domainname: asked.Domainname ?? '',
    User: asked.User || image?.User || '',
    AttachStdin: asked.AttachStdin ?? false,
    AttachStdout: asked.AttachStdout ?? false,
    AttachStderr: asked.AttachStderr ?? false,
    Tty: asked.Tty ?? false,
    OpenStdin: asked.OpenStdin ?? false,
    StdinOnce: asked.StdinOnce ?? false,
    Env: mergeEnv(asked.Env, image?.Env),
    // the image's command goes with its entrypoint: replacing the entrypoint drops it
    Cmd: asked.Cmd?.length ? asked.Cmd : asked.Entrypoint?.length ? (asked.Cmd ?? null) : copy(image?.Cmd),
    // an empty one, other than none, takes the image's away
    Entrypoint: asked.Entrypoint ? emptyMeansNone(asked.Entrypoint) : copy(image?.Entrypoint),
    Image: asked.Image ?? '',
    Volumes: mergeKeys(asked.Volumes, image?.Volumes) ?? null,
    WorkingDir: asked.WorkingDir || image?.WorkingDir || '',
    OnBuild: asked.OnBuild ?? null,
    Labels: Object.fromEntries([
      // what pods are found by, and what a scope may enter, is no image's to say
      ...Object.entries(image?.Labels ?? {}).filter(([name]) => !RESERVED_LABELS.some((one) => name.startsWith(one))),
      ...Object.entries(asked.Labels ?? {}),
    ]),
  };
  const ports = mergeKeys(asked.ExposedPorts, image?.ExposedPorts);
  if (ports) config.ExposedPorts = ports;
  const health = mergeHealthcheck(asked.Healthcheck, image?.Healthcheck);
  if (health) config.Healthcheck = health;
  const stopSignal = asked.StopSignal || image?.StopSignal;
  if (stopSignal) config.StopSignal = stopSignal;
  const shell = asked.Shell?.length ? asked.Shell : copy(image?.Shell);
  if (shell) config.Shell = shell;
  return config;
}

function copy(list: readonly string[] | null | undefined): string[] | null {
  return list ? [...list] : null;
}

/** `--entrypoint ""` is sent as one empty word. */
function emptyMeansNone(entrypoint: string[]): string[] | null {
  return entrypoint.length === 1 && entrypoint[0] === '' ? null : entrypoint;
}

function mergeEnv(asked: readonly string[] | undefined, image: readonly string[] | null | undefined): string[] {
  const names = new Set((asked ?? []).map((variable) => variable.split('=', 1)[0]));
  return [...(asked ?? []), ...(image ?? []).filter((variable) => !names.has(variable.split('=', 1)[0]))];
}

function mergeKeys<T>(
  asked: Readonly<Record<string, T>> | null | undefined,
  image: Readonly<Record<string, T>> | null | undefined,
): Record<string, T> | undefined {
  const entries = [...Object.entries(image ?? {}), ...Object.entries(asked ?? {})];
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

function mergeHealthcheck(
  asked: ContainerConfig['Healthcheck'],
  image: ImageRunConfig['Healthcheck'],
): ContainerConfig['Healthcheck'] {
  if (!asked) return image ? { ...image, Test: [...(image.Test ?? [])] } : undefined;
  if (!image) return asked;
  const merged = { ...asked };
  if (!asked.Test?.length) merged.Test = [...(image.Test ?? [])];
  for (const key of ['Interval', 'Timeout', 'StartPeriod', 'StartInterval', 'Retries'] as const) {
    if (!asked[key] && image[key]) merged[key] = image[key];
  }
  return merged;
}

/** Every field that inspect shows, as Docker fills them. */
export function fillHostConfig(asked: HostConfig, config: EngineConfig): HostConfig {
  const networkMode = !asked.NetworkMode || asked.NetworkMode === 'default' ? 'bridge' : asked.NetworkMode;
  const filled: HostConfig = {
    Binds: null,
    ContainerIDFile: '',
    PortBindings: null,
    AutoRemove: false,
    VolumeDriver: '',
    VolumesFrom: null,
    ConsoleSize: [0, 0],
    CapAdd: null,
    CapDrop: null,
    Dns: null,
    DnsOptions: null,
    DnsSearch: null,
    ExtraHosts: null,
    GroupAdd: null,
    Cgroup: '',
    Links: null,
    OomScoreAdj: 0,
    PidMode: '',
    Privileged: false,
    PublishAllPorts: false,
    ReadonlyRootfs: false,
    SecurityOpt: null,
    UTSMode: '',
    UsernsMode: '',
    Isolation: '',
    CpuShares: 0,
    Memory: 0,
    NanoCpus: 0,
    CgroupParent: '',
    BlkioWeight: 0,
    BlkioWeightDevice: null,
    BlkioDeviceReadBps: null,
    BlkioDeviceWriteBps: null,
    BlkioDeviceReadIOps: null,
    BlkioDeviceWriteIOps: null,
    CpuPeriod: 0,
    CpuQuota: 0,
    CpuRealtimePeriod: 0,
    CpuRealtimeRuntime: 0,
    CpusetCpus: '',
    CpusetMems: '',
    Devices: null,
    DeviceCgroupRules: null,
    DeviceRequests: null,
    MemoryReservation: 0,
    MemorySwap: 0,
    MemorySwappiness: null,
    OomKillDisable: false,
    PidsLimit: null,
    Ulimits: null,
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
    ...asked,
    NetworkMode: networkMode,
    LogConfig: logConfig(asked, config),
    RestartPolicy: {
      Name: asked.RestartPolicy?.Name || 'no',
      MaximumRetryCount: asked.RestartPolicy?.MaximumRetryCount ?? 0,
    },
    IpcMode: asked.IpcMode || config.ipcMode,
    ShmSize: asked.ShmSize || config.shmSize,
    Runtime: asked.Runtime || config.defaultRuntime,
  };
  if (filled.MemorySwappiness === -1) filled.MemorySwappiness = null;
  if (filled.PidsLimit !== null && filled.PidsLimit! <= 0) filled.PidsLimit = null;
  // Docker gives swap of the memory's size again when only the memory is limited
  if (filled.Memory! > 0 && filled.MemorySwap === 0) filled.MemorySwap = filled.Memory! * 2;
  if (filled.MemorySwappiness === -1) filled.MemorySwappiness = null;
  const unconfined = asked.Privileged === true || (asked.SecurityOpt ?? []).includes('systempaths=unconfined');
  filled.MaskedPaths = asked.MaskedPaths ?? (unconfined ? null : defaultMaskedPaths());
  filled.ReadonlyPaths = asked.ReadonlyPaths ?? (unconfined ? null : [...DEFAULT_READONLY_PATHS]);
  // who sees the host's processes cannot be kept apart from them by labels
  if (!filled.SecurityOpt && (asked.Privileged || asked.IpcMode === 'host' || asked.PidMode === 'host')) {
    filled.SecurityOpt = ['label=disable'];
  }
  return filled;
}

function logConfig(asked: HostConfig, config: EngineConfig): NonNullable<HostConfig['LogConfig']> {
  const type = asked.LogConfig?.Type || config.logDriver;
  const defaults = type === config.logDriver && !asked.LogConfig?.Type ? config.logOptions : {};
  return { Type: type, Config: { ...defaults, ...asked.LogConfig?.Config } };
}

function askedNetworks(
  endpoints: NonNullable<ContainerCreateRequest['NetworkingConfig']>['EndpointsConfig'],
  hostConfig: HostConfig,
): ContainerRecord['networks'] {
  const asked = Object.entries(endpoints ?? {}).map(([network, settings]) => [network, settings ?? {}] as const);
  const mode = hostConfig.NetworkMode!;
  if (!mode.startsWith('container:') && !asked.some(([network]) => network === mode || network === 'default')) {
    asked.unshift([mode, {}]);
  }
  return Object.fromEntries(asked.map(([network, settings]) => [network === 'default' ? mode : network, settings]));
}

/** What every run mounts something on. A layer of its own has them: they are no change of the container's. */
export const MOUNT_POINTS: readonly ScaffoldEntry[] = [
  { path: '/dev/pts', kind: 'directory' },
  { path: '/dev/shm', kind: 'directory' },
  { path: '/dev/console', kind: 'file' },
  { path: '/proc', kind: 'directory' },
  { path: '/sys', kind: 'directory' },
  { path: '/.dockerenv', kind: 'file' },
  { path: '/etc/resolv.conf', kind: 'file' },
  { path: '/etc/hosts', kind: 'file' },
  { path: '/etc/hostname', kind: 'file' },
  { path: '/etc/mtab', kind: 'symlink', target: '/proc/mounts' },
];
