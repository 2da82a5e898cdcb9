import type {
  ContainerConfig,
  ContainerCreateRequest,
  ContainerUpdateRequest,
  DeviceMapping,
  DeviceRequest,
  HealthConfig,
  HostConfig,
  LogConfig,
  MountRequest,
  Resources,
  RestartPolicy,
  ThrottleDevice,
  Ulimit,
  WeightDevice,
} from '../../api/container.ts';
import type { PortChangeDocument } from '../../api/gantry.ts';
import { networkingConfig, portMap } from './network.ts';
import { secretReference } from './secret.ts';
import {
  bool,
  duration,
  type Fields,
  int,
  int64,
  list,
  map,
  nothing,
  pair,
  string,
  struct,
  uint,
  word,
  words,
} from './shape.ts';

const healthcheck = struct<HealthConfig>('v1.HealthcheckConfig', {
  Test: list(string),
  Interval: duration,
  Timeout: duration,
  StartPeriod: duration,
  StartInterval: duration,
  Retries: int,
});

const configFields: Fields<ContainerConfig> = {
  Hostname: string,
  Domainname: string,
  User: string,
  AttachStdin: bool,
  AttachStdout: bool,
  AttachStderr: bool,
  ExposedPorts: map(nothing, 'nat.PortSet'),
  Tty: bool,
  OpenStdin: bool,
  StdinOnce: bool,
  Env: list(string),
  Cmd: words,
  Healthcheck: healthcheck,
  ArgsEscaped: bool,
  Image: string,
  Volumes: map(nothing),
  WorkingDir: string,
  Entrypoint: words,
  NetworkDisabled: bool,
  MacAddress: string,
  OnBuild: list(string),
  Labels: map(string),
  StopSignal: string,
  StopTimeout: int,
  Shell: words,
};

const restartPolicy = struct<RestartPolicy>('container.RestartPolicy', { Name: word(), MaximumRetryCount: int });
const ulimit = struct<Ulimit>(
  'units.Ulimit',
  { Name: string, Soft: int64, Hard: int64 },
  { Name: '', Soft: 0, Hard: 0 },
);
const weightDevice = struct<WeightDevice>(
  'blkiodev.WeightDevice',
  { Path: string, Weight: uint },
  { Path: '', Weight: 0 },
);
const throttleDevice = struct<ThrottleDevice>(
  'blkiodev.ThrottleDevice',
  { Path: string, Rate: uint },
  { Path: '', Rate: 0 },
);
const device = struct<DeviceMapping>(
  'container.DeviceMapping',
  { PathOnHost: string, PathInContainer: string, CgroupPermissions: string },
  { PathOnHost: '', PathInContainer: '', CgroupPermissions: '' },
);
const deviceRequest = struct<DeviceRequest>('container.DeviceRequest', {
  Driver: string,
  Count: int,
  DeviceIDs: list(string),
  Capabilities: list(list(string)),
  Options: map(string),
});

const resourcesFields: Fields<Resources> = {
  CpuShares: int64,
  Memory: int64,
  NanoCpus: int64,
  CgroupParent: string,
  BlkioWeight: uint,
  BlkioWeightDevice: list(weightDevice),
  BlkioDeviceReadBps: list(throttleDevice),
  BlkioDeviceWriteBps: list(throttleDevice),
  BlkioDeviceReadIOps: list(throttleDevice),
  BlkioDeviceWriteIOps: list(throttleDevice),
  CpuPeriod: int64,
  CpuQuota: int64,
  CpuRealtimePeriod: int64,
  CpuRealtimeRuntime: int64,
  CpusetCpus: string,
  CpusetMems: string,
  Devices: list(device),
  DeviceCgroupRules: list(string),
  DeviceRequests: list(deviceRequest),
  MemoryReservation: int64,
  MemorySwap: int64,
  MemorySwappiness: int64,
  OomKillDisable: bool,
  KernelMemory: int64,
  KernelMemoryTCP: int64,
  PidsLimit: int64,
  Ulimits: list(ulimit),
  CpuCount: int64,
  CpuPercent: int64,
  IOMaximumIOps: uint,
  IOMaximumBandwidth: uint,
};

const mount = struct<MountRequest>('mount.Mount', {
  Type: word(),
  Target: string,
  Source: string,
  ReadOnly: bool,
  Consistency: string,
  BindOptions: struct<NonNullable<MountRequest['BindOptions']>>('mount.BindOptions', {
    Propagation: string,
    NonRecursive: bool,
    CreateMountpoint: bool,
    ReadOnlyNonRecursive: bool,
    ReadOnlyForceRecursive: bool,
    Subpath: string,
  }),
  VolumeOptions: struct<NonNullable<MountRequest['VolumeOptions']>>('mount.VolumeOptions', {
    NoCopy: bool,
    Labels: map(string),
    DriverConfig: struct<{ Name?: string; Options?: Record<string, string> }>('mount.Driver', {
      Name: string,
      Options: map(string),
    }),
    Subpath: string,
  }),
  ImageOptions: struct<NonNullable<MountRequest['ImageOptions']>>('mount.ImageOptions', { Subpath: string }),
  TmpfsOptions: struct<NonNullable<MountRequest['TmpfsOptions']>>('mount.TmpfsOptions', {
    SizeBytes: int64,
    Mode: uint,
    Options: list(list(string)),
  }),
});

const hostConfig = struct<HostConfig>('container.HostConfig', {
  ...resourcesFields,
  Binds: list(string),
  ContainerIDFile: string,
  LogConfig: struct<LogConfig>('container.LogConfig', { Type: string, Config: map(string) }),
  NetworkMode: string,
  PortBindings: portMap,
  RestartPolicy: restartPolicy,
  AutoRemove: bool,
  VolumeDriver: string,
  VolumesFrom: list(string),
  ConsoleSize: pair(uint),
  Annotations: map(string),
  CapAdd: words,
  CapDrop: words,
  CgroupnsMode: word(),
  Dns: list(string),
  DnsOptions: list(string),
  DnsSearch: list(string),
  ExtraHosts: list(string),
  GroupAdd: list(string),
  IpcMode: string,
  Cgroup: string,
  Links: list(string),
  OomScoreAdj: int,
  PidMode: string,
  Privileged: bool,
  PublishAllPorts: bool,
  ReadonlyRootfs: bool,
  SecurityOpt: list(string),
  StorageOpt: map(string),
  Tmpfs: map(string),
  UTSMode: string,
  UsernsMode: string,
  ShmSize: int64,
  Sysctls: map(string),
  Runtime: string,
  Secrets: list(secretReference),
  Isolation: string,
  Mounts: list(mount),
  MaskedPaths: list(string),
  ReadonlyPaths: list(string),
  Init: bool,
});

export const containerConfig = struct<ContainerConfig>('container.Config', configFields);

export const containerCreate = struct<ContainerCreateRequest>('container.CreateRequest', {
  ...configFields,
  HostConfig: hostConfig,
  NetworkingConfig: networkingConfig,
});

export const containerUpdate = struct<ContainerUpdateRequest>('container.UpdateConfig', {
  ...resourcesFields,
  Init: bool,
  RestartPolicy: restartPolicy,
});

export const portChange = struct<PortChangeDocument>('gantry.PortChange', { Add: portMap, Remove: portMap });
