/**
 * What older versions of the API look like. An old request becomes a newest one before the engine sees it, and a newest
 * answer becomes an old one after; the engine knows the newest shape only. Each condition names the version that changed it.
 */
import type {
  ContainerConfig,
  ContainerCreateRequest,
  ContainerInspect,
  ContainerSummary,
  ContainerUpdateRequest,
  MountRequest,
} from '../api/container.ts';
import type { ExecCreateRequest, ExecStartRequest } from '../api/exec.ts';
import type { ImageInspect, ImageSummary } from '../api/image.ts';
import type { EndpointSettings, NetworkCreateRequest } from '../api/network.ts';
import type { DiskUsage, EngineEvent, SystemInfo } from '../api/system.ts';
import { EngineError } from '../base/errors.ts';
import { shortId } from '../base/ids.ts';
import type { ApiVersion } from './version.ts';

/** Changes `request` in place. Gives the warnings that the answer has to carry. Throws `invalid-argument`. */
export function upgradeContainerCreate(request: ContainerCreateRequest, version: ApiVersion): string[] {
  const host = (request.HostConfig ??= {});
  if (version < 25) delete host.AutoRemove; // the client removed it
  if (version < 40) {
    if (!host.IpcMode) host.IpcMode = 'shareable';
    delete host.KernelMemoryTCP;
  }
  if (version < 41 && !host.CgroupnsMode) host.CgroupnsMode = 'host';
  if (version < 42) delete host.ConsoleSize;
  else delete host.KernelMemory;
  if (version < 43) delete host.Annotations;
  if (version < 44 && request.Healthcheck) delete request.Healthcheck.StartInterval;
  for (const mount of host.Mounts ?? []) upgradeMount(mount, version);
  // The docker CLI sends what it was not told.
  if (host.MemorySwappiness === -1) delete host.MemorySwappiness;
  if (host.PidsLimit !== undefined && host.PidsLimit !== null && host.PidsLimit <= 0) delete host.PidsLimit;

  const endpoints = Object.keys(request.NetworkingConfig?.EndpointsConfig ?? {});
  if (version < 44 && endpoints.length > 1) {
    throw new EngineError(
      'invalid-argument',
      `Container cannot be created with multiple network endpoints: ${endpoints.toSorted().join(', ')}`,
    );
  }
  for (const endpoint of Object.values(request.NetworkingConfig?.EndpointsConfig ?? {})) {
    if (!endpoint) continue;
    if (version < 44) delete endpoint.MacAddress;
    if (version < 48) delete endpoint.GwPriority;
  }
  return copyMacAddress(request, version);
}

/** Since 1.44 the address belongs to an endpoint; before, to the container, where `inspect` still shows it. */
function copyMacAddress(request: ContainerCreateRequest, version: ApiVersion): string[] {
  const mac = request.MacAddress;
  if (!mac) return [];
  const mode = request.HostConfig?.NetworkMode || 'default';
  if (mode === 'none' || mode === 'host' || mode.startsWith('container:')) {
    throw new EngineError('invalid-argument', 'conflicting options: mac-address and the network mode');
  }
  const networking = (request.NetworkingConfig ??= {});
  const endpoints = (networking.EndpointsConfig ??= Object.create(null) as Record<string, EndpointSettings | null>);
  const name = Object.keys(endpoints)[0] ?? mode;
  const endpoint = (endpoints[name] ??= {});
  if (endpoint.MacAddress && endpoint.MacAddress !== mac) {
    throw new EngineError(
      'invalid-argument',
      'the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty',
    );
  }
  endpoint.MacAddress = mac;
  return version < 44
    ? []
    : ['The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.'];
}

function upgradeMount(mount: MountRequest, version: ApiVersion): void {
  const needs = (what: string, since: number): EngineError =>
    new EngineError('invalid-argument', `${what} needs API v1.${since} or newer`);
  if (version < 40 && mount.BindOptions) delete mount.BindOptions.NonRecursive;
  if (version < 42 && mount.BindOptions) delete mount.BindOptions.CreateMountpoint;
  if (version < 44 && mount.Type === 'bind') {
    if (mount.BindOptions?.ReadOnlyForceRecursive) throw needs('BindOptions.ReadOnlyForceRecursive', 44);
    // Read-only mounts became recursive with 1.44.
    mount.BindOptions = { ...mount.BindOptions, ReadOnlyNonRecursive: true };
  }
  if (version < 45 && mount.VolumeOptions?.Subpath) throw needs('VolumeOptions.Subpath', 45);
  if (version < 48 && mount.Type === 'image') throw needs('Mount type "Image"', 48);
}

export function upgradeContainerUpdate(request: ContainerUpdateRequest, version: ApiVersion): void {
  if (version < 40) delete request.PidsLimit;
  if (version >= 42) delete request.KernelMemory;
}

export function upgradeExec<T extends ExecCreateRequest | ExecStartRequest>(request: T, version: ApiVersion): T {
  if (version < 42) delete request.ConsoleSize;
  return request;
}

export function upgradeNetworkCreate(request: NetworkCreateRequest, version: ApiVersion): void {
  if (version < 48) delete request.EnableIPv4;
}

export function containerInspect(document: ContainerInspect, version: ApiVersion): unknown {
  const networks: Record<string, EndpointSettings> = Object.create(null) as Record<string, EndpointSettings>;
  for (const [name, endpoint] of Object.entries(document.NetworkSettings.Networks)) {
    networks[name] = downgradeEndpoint(name, endpoint, document.Id, version);
  }
  const { ImageManifestDescriptor, ...rest } = document;
  const config =
    version < 44
      ? { ...document.Config, MacAddress: document.NetworkSettings.MacAddress || firstMac(document) }
      : document.Config;
  return {
    ...rest,
    ...(version >= 48 && ImageManifestDescriptor ? { ImageManifestDescriptor } : {}),
    Config: config,
    NetworkSettings: { ...document.NetworkSettings, Networks: networks },
  };
}

function firstMac(document: ContainerInspect): string {
  return Object.values(document.NetworkSettings.Networks)[0]?.MacAddress ?? '';
}

function downgradeEndpoint(
  network: string,
  endpoint: EndpointSettings,
  containerId: string,
  version: ApiVersion,
): EndpointSettings {
  const userDefined = !['bridge', 'host', 'none', 'default'].includes(network) && !network.startsWith('container:');
  // Until 1.45 the short id was among the aliases of networks that have names.
  if (version >= 45 || !userDefined) return endpoint;
  return { ...endpoint, Aliases: [...new Set([...(endpoint.Aliases ?? []), shortId(containerId)])] };
}

export function containerSummary(document: ContainerSummary, version: ApiVersion): unknown {
  const { ImageManifestDescriptor, ...rest } = document;
  const summary = version >= 48 && ImageManifestDescriptor ? { ...rest, ImageManifestDescriptor } : rest;
  if (version >= 46 || !document.HostConfig.Annotations) return summary;
  const { Annotations: _, ...host } = document.HostConfig;
  return { ...summary, HostConfig: host };
}

export function imageSummary(document: ImageSummary, version: ApiVersion): unknown {
  const { Descriptor, Manifests, ...rest } = document;
  const summary: Record<string, unknown> = { ...rest };
  if (version >= 47 && Manifests) summary['Manifests'] = Manifests;
  if (version >= 48 && Descriptor) summary['Descriptor'] = Descriptor;
  if (version < 44) summary['VirtualSize'] = document.Size;
  if (version < 51) summary['Containers'] = -1;
  if (version < 43 && document.RepoDigests.length === 0) summary['RepoDigests'] = null;
  if (version < 43 && document.RepoTags.length === 0 && document.RepoDigests.length === 0) {
    summary['RepoTags'] = ['<none>:<none>'];
    summary['RepoDigests'] = ['<none>@<none>'];
  }
  return summary;
}

/** Go's zero `container.Config`, which image documents carried until 1.45 (whole) and 1.50 (in part). */
const EMPTY_CONFIG: ContainerConfig = {
  Hostname: '',
  Domainname: '',
  User: '',
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Env: null as unknown as string[],
  Cmd: null,
  Image: '',
  Volumes: null,
  WorkingDir: '',
  Entrypoint: null,
  OnBuild: null,
  Labels: null as unknown as Record<string, string>,
};

export function imageInspect(document: ImageInspect, version: ApiVersion): unknown {
  const { Descriptor, Manifests, ...rest } = document;
  const inspect: Record<string, unknown> = { ...rest };
  if (version >= 48 && Descriptor) inspect['Descriptor'] = Descriptor;
  if (version >= 48 && Manifests) inspect['Manifests'] = Manifests;
  if (version < 50 && document.Config) inspect['Config'] = { ...EMPTY_CONFIG, ...document.Config };
  if (version < 45) {
    inspect['Container'] = '';
    inspect['ContainerConfig'] = EMPTY_CONFIG;
  }
  if (version < 44) inspect['VirtualSize'] = document.Size;
  return inspect;
}

export function systemInfo(document: SystemInfo, version: ApiVersion): unknown {
  const info: Record<string, unknown> = { ...document };
  if (version < 50) {
    delete info['DiscoveredDevices'];
    info['BridgeNfIptables'] = false;
    info['BridgeNfIp6tables'] = false;
  }
  if (version < 49) {
    delete info['FirewallBackend'];
    for (const name of ['ContainerdCommit', 'RuncCommit', 'InitCommit']) {
      const commit = info[name] as { ID?: string } | undefined;
      if (commit?.ID) info[name] = { ...commit, Expected: commit.ID };
    }
  }
  if (version < 47 && isRecord(info['RegistryConfig'])) {
    info['RegistryConfig'] = {
      ...info['RegistryConfig'],
      AllowNondistributableArtifactsCIDRs: null,
      AllowNondistributableArtifactsHostnames: null,
    };
  }
  if (version < 46) delete info['Containerd'];
  if (version < 44 && isRecord(info['Runtimes'])) {
    info['Runtimes'] = Object.fromEntries(
      Object.entries(info['Runtimes']).map(([name, runtime]) => {
        const { status: _, ...rest } = runtime as Record<string, unknown>;
        return [name, rest];
      }),
    );
  }
  if (version < 42) info['KernelMemory'] = true;
  if (version < 25 && Array.isArray(info['SecurityOptions'])) {
    // Names only, before they could carry options.
    info['SecurityOptions'] = (info['SecurityOptions'] as string[]).map(
      (option) => /(?:^|,)name=([^,]+)/.exec(option)?.[1] ?? option,
    );
  }
  return info;
}

export function diskUsage(document: DiskUsage, version: ApiVersion): unknown {
  const usage: Record<string, unknown> = {
    ...document,
    ...(document.Images
      ? {
          Images: document.Images.map((image) => ({
            ...(imageSummary(image, version) as ImageSummary),
            Containers: image.Containers,
          })),
        }
      : {}),
    ...(document.Containers
      ? { Containers: document.Containers.map((container) => containerSummary(container, version)) }
      : {}),
  };
  if (version < 42) usage['BuilderSize'] = (document.BuildCache ?? []).reduce((sum, record) => sum + record.Size, 0);
  return usage;
}

/** One line of `GET /events`: with the fields that 1.52 drops, and the time exact to the nanosecond. */
export function eventLine(event: EngineEvent): string {
  const { timeNano, ...rest } = event;
  const legacy =
    event.Type === 'container'
      ? { status: event.Action, id: event.Actor.ID, from: event.Actor.Attributes['image'] ?? '' }
      : event.Type === 'image'
        ? { status: event.Action, id: event.Actor.ID }
        : {};
  return `${JSON.stringify({ ...legacy, ...rest }).slice(0, -1)},"timeNano":${timeNano}}\n`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
