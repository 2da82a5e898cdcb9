import type { HostConfig, MountRequest } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';

/** Docker's default set: asking for one of these by name gives nothing more. */
const CAPABILITIES: ReadonlySet<string> = new Set(
  [
    'CHOWN',
    'DAC_OVERRIDE',
    'FSETID',
    'FOWNER',
    'MKNOD',
    'NET_RAW',
    'SETGID',
    'SETUID',
    'SETFCAP',
    'SETPCAP',
    'NET_BIND_SERVICE',
    'SYS_CHROOT',
    'KILL',
    'AUDIT_WRITE',
  ].flatMap((name) => [name, `CAP_${name}`]),
);

type Check = (value: never) => boolean;

const any = (): boolean => true;
const none = (): boolean => false;
const oneOf =
  (...values: string[]) =>
  (value: string): boolean =>
    values.includes(value);

/**
 * What of a container's place on this host a scope may ask for, field by field. What is empty is always allowed, what is not
 * in here never: also a field that comes later. Networks, other containers, volumes and images are looked at elsewhere.
 */
const FIELDS: Readonly<Record<keyof HostConfig, Check>> = {
  // the limits of the container's own resources
  CpuShares: any,
  KernelMemory: any,
  KernelMemoryTCP: any,
  Memory: any,
  NanoCpus: any,
  BlkioWeight: any,
  CpuPeriod: any,
  CpuQuota: any,
  CpuRealtimePeriod: none,
  CpuRealtimeRuntime: none,
  CpusetCpus: any,
  CpusetMems: any,
  MemoryReservation: any,
  MemorySwap: any,
  MemorySwappiness: any,
  OomKillDisable: none,
  PidsLimit: any,
  Ulimits: any,
  CpuCount: any,
  CpuPercent: any,
  IOMaximumIOps: any,
  IOMaximumBandwidth: any,
  ShmSize: any,
  StorageOpt: any,
  // the host's own
  CgroupParent: none,
  BlkioWeightDevice: none,
  BlkioDeviceReadBps: none,
  BlkioDeviceWriteBps: none,
  BlkioDeviceReadIOps: none,
  BlkioDeviceWriteIOps: none,
  Devices: none,
  DeviceCgroupRules: none,
  DeviceRequests: none,
  Privileged: none,
  Annotations: none,
  Runtime: none,
  Cgroup: none,
  Secrets: none,
  // an empty list is a wish too: nothing hidden, nothing read-only
  MaskedPaths: none,
  ReadonlyPaths: none,
  CapAdd: (names: string[]) => names.every((name) => CAPABILITIES.has(name.toUpperCase())),
  SecurityOpt: (options: string[]) =>
    options.every((option) => /^(?:no-new-privileges|hardened)(?:[:=]true)?$/.test(option)),
  UsernsMode: (mode: string) => mode === 'auto' || mode.startsWith('auto:'),
  CgroupnsMode: oneOf('private'),
  UTSMode: none,
  IpcMode: (mode: string) => oneOf('private', 'shareable', 'none')(mode) || mode.startsWith('container:'),
  PidMode: (mode: string) => mode.startsWith('container:'),
  OomScoreAdj: (value: number) => value >= 0,
  Sysctls: any, // only those of the container's own namespaces are taken
  NetworkMode: (mode: string) => mode !== 'host',
  Isolation: oneOf('default'),
  VolumeDriver: oneOf('local'),
  // others send to where the host reaches, and read its certificates
  LogConfig: ({ Type }: { Type?: string }) => oneOf('', 'json-file', 'local', 'none')(Type ?? ''),
  // the container's own
  Binds: any,
  Mounts: any,
  VolumesFrom: any,
  Links: any,
  ContainerIDFile: any,
  PortBindings: any,
  RestartPolicy: any,
  AutoRemove: any,
  ConsoleSize: any,
  CapDrop: any,
  Dns: any,
  DnsOptions: any,
  DnsSearch: any,
  ExtraHosts: any,
  GroupAdd: any,
  PublishAllPorts: any,
  ReadonlyRootfs: any,
  Tmpfs: any,
  Init: any,
};

/** Throws `forbidden` for what reaches beyond the container. */
export function checkHostConfig(config: HostConfig): void {
  for (const [name, value] of Object.entries(config) as [keyof HostConfig, unknown][]) {
    const wish =
      name === 'MaskedPaths' || name === 'ReadonlyPaths' ? value !== null && value !== undefined : !isEmpty(value);
    if (!wish) continue;
    const check = Object.hasOwn(FIELDS, name) ? FIELDS[name] : none;
    if (!check(value as never)) {
      throw new EngineError('forbidden', `${name}=${shown(value)} reaches beyond the container: not through a scope`);
    }
  }
}

/** The name of the volume that a bind means. Throws `forbidden` for a path of the host. */
export function volumeOfBind(bind: string): string {
  const name = bind.slice(0, bind.indexOf(':'));
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) {
    throw new EngineError('forbidden', `${shown(bind)} is a path of the host: not through a scope`);
  }
  return name;
}

/** What a mount is of. Throws `forbidden` for one of the host, or with a driver's options. */
export function sourceOfMount(mount: MountRequest): { readonly volume?: string; readonly image?: string } {
  const driver = mount.VolumeOptions?.DriverConfig;
  if ((driver?.Name ?? '') !== '' && driver?.Name !== 'local') {
    throw new EngineError('forbidden', `the volume driver ${shown(driver?.Name)}: not through a scope`);
  }
  if (!isEmpty(driver?.Options)) {
    throw new EngineError('forbidden', 'options of a volume driver reach beyond the container: not through a scope');
  }
  if (mount.Type === 'tmpfs') return {};
  if (mount.Type === 'volume') return mount.Source ? { volume: volumeOfBind(`${mount.Source}:`) } : {};
  if (mount.Type === 'image' && mount.Source) return { image: mount.Source };
  throw new EngineError('forbidden', `a mount of type ${shown(mount.Type)} is of the host: not through a scope`);
}

export function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === false || value === 0) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function shown(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 200) ?? '';
}
