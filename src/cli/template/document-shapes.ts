/** The documents that templates look into, as Docker's structs have them (github.com/moby/moby, api/types of 28.5). */
import { decode, list, map, pointer, type Shape, struct, type StructShape } from '../../template/go-value.ts';

const TEXTS = list('');
const TEXT_MAP = map('');
const NOTHING = struct({});
const PORT_SET = map(NOTHING, { typedKeys: true });
const HEALTH_CHECK = pointer(
  struct({ Test: TEXTS, Interval: 0, Timeout: 0, StartPeriod: 0, StartInterval: 0, Retries: 0 }),
);
const GRAPH_DRIVER = struct({ Data: TEXT_MAP, Name: '' });
const THROTTLES = list(struct({ Path: '', Rate: 0 }));

const STATE = struct({
  Status: '',
  Running: false,
  Paused: false,
  Restarting: false,
  OOMKilled: false,
  Dead: false,
  Pid: 0,
  ExitCode: 0,
  Error: '',
  StartedAt: '',
  FinishedAt: '',
  Health: pointer(
    struct({ Status: '', FailingStreak: 0, Log: list(struct({ Start: '', End: '', ExitCode: 0, Output: '' })) }),
  ),
});

const CONTAINER_CONFIG = struct({
  Hostname: '',
  Domainname: '',
  User: '',
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  ExposedPorts: PORT_SET,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Env: TEXTS,
  Cmd: TEXTS,
  Healthcheck: HEALTH_CHECK,
  ArgsEscaped: false,
  Image: '',
  Volumes: map(NOTHING),
  WorkingDir: '',
  Entrypoint: TEXTS,
  NetworkDisabled: false,
  MacAddress: '',
  OnBuild: TEXTS,
  Labels: TEXT_MAP,
  StopSignal: '',
  StopTimeout: null,
  Shell: TEXTS,
});

const RESOURCES: Readonly<Record<string, Shape>> = {
  CPUShares: 0,
  Memory: 0,
  NanoCPUs: 0,
  CgroupParent: '',
  BlkioWeight: 0,
  BlkioWeightDevice: list(struct({ Path: '', Weight: 0 })),
  BlkioDeviceReadBps: THROTTLES,
  BlkioDeviceWriteBps: THROTTLES,
  BlkioDeviceReadIOps: THROTTLES,
  BlkioDeviceWriteIOps: THROTTLES,
  CPUPeriod: 0,
  CPUQuota: 0,
  CPURealtimePeriod: 0,
  CPURealtimeRuntime: 0,
  CpusetCpus: '',
  CpusetMems: '',
  Devices: list(struct({ PathOnHost: '', PathInContainer: '', CgroupPermissions: '' })),
  DeviceCgroupRules: TEXTS,
  DeviceRequests: list(
    struct({ Driver: '', Count: 0, DeviceIDs: TEXTS, Capabilities: list(TEXTS), Options: TEXT_MAP }),
  ),
  KernelMemory: 0,
  KernelMemoryTCP: 0,
  MemoryReservation: 0,
  MemorySwap: 0,
  MemorySwappiness: null,
  OomKillDisable: null,
  PidsLimit: null,
  Ulimits: list(struct({ Name: '', Hard: 0, Soft: 0 })),
  CPUCount: 0,
  CPUPercent: 0,
  IOMaximumIOps: 0,
  IOMaximumBandwidth: 0,
};

const HOST_CONFIG = struct({
  Binds: TEXTS,
  ContainerIDFile: '',
  LogConfig: struct({ Type: '', Config: TEXT_MAP }),
  NetworkMode: '',
  PortBindings: map(list(struct({ HostIP: '', HostPort: '' })), { typedKeys: true }),
  RestartPolicy: struct({ Name: '', MaximumRetryCount: 0 }),
  AutoRemove: false,
  VolumeDriver: '',
  VolumesFrom: TEXTS,
  ConsoleSize: list(0),
  Annotations: TEXT_MAP,
  CapAdd: TEXTS,
  CapDrop: TEXTS,
  CgroupnsMode: '',
  DNS: TEXTS,
  DNSOptions: TEXTS,
  DNSSearch: TEXTS,
  ExtraHosts: TEXTS,
  GroupAdd: TEXTS,
  IpcMode: '',
  Cgroup: '',
  Links: TEXTS,
  OomScoreAdj: 0,
  PidMode: '',
  Privileged: false,
  PublishAllPorts: false,
  ReadonlyRootfs: false,
  SecurityOpt: TEXTS,
  StorageOpt: TEXT_MAP,
  Tmpfs: TEXT_MAP,
  UTSMode: '',
  UsernsMode: '',
  ShmSize: 0,
  Sysctls: TEXT_MAP,
  Runtime: '',
  Isolation: '',
  ...RESOURCES,
  Mounts: list(null),
  MaskedPaths: TEXTS,
  ReadonlyPaths: TEXTS,
  Init: null,
});

const ENDPOINT = struct({
  IPAMConfig: pointer(struct({ IPv4Address: '', IPv6Address: '', LinkLocalIPs: TEXTS })),
  Links: TEXTS,
  Aliases: TEXTS,
  MacAddress: '',
  DriverOpts: TEXT_MAP,
  GwPriority: 0,
  NetworkID: '',
  EndpointID: '',
  Gateway: '',
  IPAddress: '',
  IPPrefixLen: 0,
  IPv6Gateway: '',
  GlobalIPv6Address: '',
  GlobalIPv6PrefixLen: 0,
  DNSNames: TEXTS,
});

const NETWORK_SETTINGS = struct({
  Bridge: '',
  SandboxID: '',
  SandboxKey: '',
  Ports: map(list(struct({ HostIP: '', HostPort: '' })), { typedKeys: true }),
  HairpinMode: false,
  LinkLocalIPv6Address: '',
  LinkLocalIPv6PrefixLen: 0,
  SecondaryIPAddresses: list(null),
  SecondaryIPv6Addresses: list(null),
  EndpointID: '',
  Gateway: '',
  GlobalIPv6Address: '',
  GlobalIPv6PrefixLen: 0,
  IPAddress: '',
  IPPrefixLen: 0,
  IPv6Gateway: '',
  MacAddress: '',
  Networks: map(pointer(ENDPOINT)),
});

const CONTAINER = struct({
  ID: '',
  Created: '',
  Path: '',
  Args: TEXTS,
  State: pointer(STATE),
  Image: '',
  ResolvConfPath: '',
  HostnamePath: '',
  HostsPath: '',
  LogPath: '',
  Name: '',
  RestartCount: 0,
  Driver: '',
  Platform: '',
  MountLabel: '',
  ProcessLabel: '',
  AppArmorProfile: '',
  ExecIDs: TEXTS,
  HostConfig: pointer(HOST_CONFIG),
  GraphDriver: GRAPH_DRIVER,
  SizeRw: null,
  SizeRootFs: null,
  Mounts: list(
    struct({ Type: '', Name: '', Source: '', Destination: '', Driver: '', Mode: '', RW: false, Propagation: '' }),
  ),
  Config: pointer(CONTAINER_CONFIG),
  NetworkSettings: pointer(NETWORK_SETTINGS),
  ImageManifestDescriptor: null,
});

const IMAGE = struct({
  ID: '',
  RepoTags: TEXTS,
  RepoDigests: TEXTS,
  Parent: '',
  Comment: '',
  Created: '',
  Container: '',
  ContainerConfig: pointer(CONTAINER_CONFIG),
  DockerVersion: '',
  Author: '',
  Config: pointer(
    struct({
      User: '',
      ExposedPorts: map(NOTHING),
      Env: TEXTS,
      Entrypoint: TEXTS,
      Cmd: TEXTS,
      Volumes: map(NOTHING),
      WorkingDir: '',
      Labels: TEXT_MAP,
      StopSignal: '',
      ArgsEscaped: false,
      Healthcheck: HEALTH_CHECK,
      OnBuild: TEXTS,
      Shell: TEXTS,
    }),
  ),
  Architecture: '',
  Variant: '',
  Os: '',
  OsVersion: '',
  Size: 0,
  VirtualSize: 0,
  GraphDriver: GRAPH_DRIVER,
  RootFS: struct({ Type: '', Layers: TEXTS }),
  Metadata: struct({ LastTagTime: '' }),
  Descriptor: null,
  Manifests: list(null),
});

const NETWORK = struct({
  Name: '',
  ID: '',
  Created: '',
  Scope: '',
  Driver: '',
  EnableIPv4: false,
  EnableIPv6: false,
  IPAM: struct({
    Driver: '',
    Options: TEXT_MAP,
    Config: list(struct({ Subnet: '', IPRange: '', Gateway: '', AuxiliaryAddresses: TEXT_MAP })),
  }),
  Internal: false,
  Attachable: false,
  Ingress: false,
  ConfigFrom: struct({ Network: '' }),
  ConfigOnly: false,
  Containers: map(struct({ Name: '', EndpointID: '', MacAddress: '', IPv4Address: '', IPv6Address: '' })),
  Options: TEXT_MAP,
  Labels: TEXT_MAP,
  Peers: list(null),
  Services: map(null),
});

const VOLUME = struct({
  ClusterVolume: null,
  CreatedAt: '',
  Driver: '',
  Labels: TEXT_MAP,
  Mountpoint: '',
  Name: '',
  Options: TEXT_MAP,
  Scope: '',
  Status: map(null),
  UsageData: pointer(struct({ RefCount: 0, Size: 0 })),
});

const PLATFORM = struct({ Name: '' });

/** What `version` shows of both sides. */
export const VERSIONS: StructShape = struct({
  Client: struct({
    Platform: pointer(PLATFORM),
    Version: '',
    APIVersion: '',
    DefaultAPIVersion: '',
    GitCommit: '',
    GoVersion: '',
    Os: '',
    Arch: '',
    BuildTime: '',
    Context: '',
  }),
  Server: pointer(
    struct({
      Platform: PLATFORM,
      Components: list(struct({ Name: '', Version: '', Details: TEXT_MAP })),
      Version: '',
      APIVersion: '',
      MinAPIVersion: '',
      GitCommit: '',
      GoVersion: '',
      Os: '',
      Arch: '',
      KernelVersion: '',
      Experimental: false,
      BuildTime: '',
    }),
  ),
});

/** Where Go's names of `info` are not those of its JSON. */
export const INFO_NAMES: StructShape = struct({
  HTTPProxy: '',
  HTTPSProxy: '',
  CPUCfsPeriod: false,
  CPUCfsQuota: false,
});

/** Documents of `inspect`, told apart by what only they have; others are left as they are. */
export function decodeInspected(document: unknown): unknown {
  if (typeof document !== 'object' || document === null) return document;
  if ('HostConfig' in document) return decode(document, CONTAINER);
  if ('RootFS' in document) return decode(document, IMAGE);
  if ('IPAM' in document) return decode(document, NETWORK);
  if ('Mountpoint' in document) return decode(document, VOLUME);
  return document;
}
