import type { ContainerCreateRequest, HostConfig, MountRequest, RestartPolicy } from '../../api/container.ts';
import type { EndpointSettings, PortBinding } from '../../api/network.ts';
import { ON_UNHEALTHY_LABEL } from '../../api/gantry.ts';
import { EngineError } from '../../base/errors.ts';
import { serviceHash } from '../model/hash.ts';
import { parseDuration } from '../model/units.ts';
import { asDict, asList, asText, asTexts, type Dict, isDict, textOf } from '../model/value.ts';
import { COMPOSE_VERSION, LABEL } from './labels.ts';
import { fixedPorts } from './rolling.ts';
import { checkSupported, onUnhealthy } from './support.ts';
import { type Project, resource, type Service } from './project.ts';

/** Docker's word for what a network's interface is called in the container. */
const INTERFACE_NAME = 'com.docker.network.endpoint.ifname';

export interface RequestContext {
  readonly project: Project;
  readonly number: number;
  /** The image's id, when it is known. */
  readonly imageId: string | undefined;
  /** The container that stands for another service's namespaces. Throws when there is none. */
  readonly containerOf: (service: string) => string;
  /** Volumes that an earlier container leaves to this one: target → name. */
  readonly inherited?: ReadonlyMap<string, string>;
  /** The container that this one replaces. */
  readonly replaces?: string | undefined;
  /** Filled with the named ports of the host, which are not published yet. */
  readonly withhold?: Record<string, PortBinding[]>;
  readonly oneOff?: boolean;
  /** Networks connected after the first by calls of their own; engines before API 1.44 take only one. */
  readonly aliases?: boolean;
}

/** What the engine is asked for, for one container of a service. Throws `unimplemented` for fields that cannot be done. */
export function containerRequest(service: Service, context: RequestContext): ContainerCreateRequest {
  checkSupported(service);
  const { model } = service;
  const { exposed, bindings } = ports(model);
  if (context.withhold)
    for (const [port, fixed] of Object.entries(fixedPorts(bindings))) {
      context.withhold[port] = fixed;
      bindings[port] = bindings[port]!.filter((binding) => !fixed.includes(binding));
      if (bindings[port].length === 0) delete bindings[port];
    }
  const endpoints = networks(service, context);
  return {
    Image: service.image,
    ...text(model, 'hostname', 'Hostname'),
    ...text(model, 'domainname', 'Domainname'),
    ...text(model, 'user', 'User'),
    ...text(model, 'working_dir', 'WorkingDir'),
    ...text(model, 'stop_signal', 'StopSignal'),
    Env: environmentOf(asDict(model['environment'])),
    ...(model['command'] === undefined ? {} : { Cmd: asTexts(model['command']) }),
    ...(model['entrypoint'] === undefined
      ? {}
      : { Entrypoint: asList(model['entrypoint']).length === 0 ? [''] : asTexts(model['entrypoint']) }),
    Labels: labels(service, context),
    ExposedPorts: exposed,
    Tty: model['tty'] === true,
    OpenStdin: model['stdin_open'] === true,
    StdinOnce: false,
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    ...(model['stop_grace_period'] === undefined
      ? {}
      : { StopTimeout: Math.round(parseDuration(textOf(model['stop_grace_period'])) / 1e9) }),
    ...health(asDict(model['healthcheck'])),
    HostConfig: hostConfig(service, context, bindings),
    NetworkingConfig: { EndpointsConfig: endpoints },
  };
}

export function environmentOf(environment: Dict): string[] {
  return Object.entries(environment).map(([name, value]) => (value === null ? name : `${name}=${textOf(value)}`));
}

/** Docker's name of the network that a mode or the first network stands for. */
function networkMode(service: Service, context: RequestContext): string {
  const mode = asText(service.model['network_mode']);
  if (mode === undefined) {
    const first = sortedNetworks(service)[0];
    return first === undefined ? 'none' : textOf(resource(context.project, 'networks', first)['name']);
  }
  return shared(mode, context);
}

function shared(mode: string, context: RequestContext): string {
  return mode.startsWith('service:') ? `container:${context.containerOf(mode.slice('service:'.length))}` : mode;
}

/** The highest `priority` first, then by name. */
export function sortedNetworks(service: Service): string[] {
  const all = asDict(service.model['networks']);
  const priority = (name: string): number => Number(asDict(all[name])['priority'] ?? 0);
  return Object.keys(all).sort((a, b) => priority(b) - priority(a) || (a < b ? -1 : 1));
}

function networks(service: Service, context: RequestContext): Record<string, EndpointSettings> {
  const out: Record<string, EndpointSettings> = {};
  for (const key of sortedNetworks(service)) {
    const given = asDict(asDict(service.model['networks'])[key]);
    const own = asText(service.model['container_name']) ?? `${context.project.name}-${service.name}-${context.number}`;
    const links = asList(given['link_local_ips']).map(String);
    out[textOf(resource(context.project, 'networks', key)['name'])] = {
      Aliases: context.aliases === false ? [] : [own, service.name, ...asTexts(given['aliases'])],
      ...(links.length > 0 || given['ipv4_address'] !== undefined || given['ipv6_address'] !== undefined
        ? {
            IPAMConfig: {
              ...text(given, 'ipv4_address', 'IPv4Address'),
              ...text(given, 'ipv6_address', 'IPv6Address'),
              ...(links.length > 0 ? { LinkLocalIPs: links } : {}),
            },
          }
        : {}),
      ...text(given, 'mac_address', 'MacAddress'),
      ...driverOptions(given),
      ...(given['gw_priority'] === undefined ? {} : { GwPriority: Number(given['gw_priority']) }),
      ...(asList(service.model['links']).length > 0 || asList(service.model['external_links']).length > 0
        ? { Links: links_(service, context) }
        : {}),
    };
  }
  const mac = asText(service.model['mac_address']);
  const first = Object.values(out)[0];
  if (mac !== undefined && first) first.MacAddress ??= mac;
  return out;
}

function driverOptions(network: Dict): Pick<EndpointSettings, 'DriverOpts'> {
  const name = asText(network['interface_name']);
  const options = {
    ...texts(asDict(network['driver_opts'])),
    ...(name === undefined ? {} : { [INTERFACE_NAME]: name }),
  };
  return Object.keys(options).length === 0 ? {} : { DriverOpts: options };
}

function links_(service: Service, context: RequestContext): string[] {
  const own = asList(service.model['links']).map((link) => {
    const [name, alias] = textOf(link).split(':');
    return `${context.containerOf(name!)}:${alias ?? name!}`;
  });
  return [
    ...own,
    ...asTexts(service.model['external_links']).map((link) => (link.includes(':') ? link : `${link}:${link}`)),
  ];
}

function labels(service: Service, context: RequestContext): Record<string, string> {
  const { project } = context;
  return Object.fromEntries([
    ...Object.entries(asDict(service.model['labels'])).map(([key, value]) => [key, textOf(value)]),
    [LABEL.configHash, serviceHash(service.model)],
    ...(onUnhealthy(service) === undefined ? [] : [[ON_UNHEALTHY_LABEL, onUnhealthy(service)!]]),
    ...(context.oneOff === true ? [] : [[LABEL.containerNumber, String(context.number)]]),
    [
      LABEL.dependsOn,
      [...service.dependencies].map(([name, how]) => `${name}:${how.condition}:${how.restart}`).join(','),
    ],
    ...(context.imageId === undefined ? [] : [[LABEL.image, context.imageId]]),
    [LABEL.oneOff, context.oneOff === true ? 'True' : 'False'],
    [LABEL.project, project.name],
    [LABEL.configFiles, project.files.join(',')],
    [LABEL.workingDirectory, project.directory],
    [LABEL.service, service.name],
    [LABEL.version, COMPOSE_VERSION],
    ...(context.replaces === undefined ? [] : [[LABEL.replace, context.replaces]]),
  ]) as Record<string, string>;
}

function ports(model: Dict): {
  exposed: Record<string, Record<string, never>>;
  bindings: Record<string, PortBinding[]>;
} {
  const exposed: Record<string, Record<string, never>> = {};
  const bindings: Record<string, PortBinding[]> = {};
  for (const item of asTexts(model['expose'])) {
    const match = /^(\d+)(?:-(\d+))?(?:\/(\w+))?$/.exec(item);
    if (!match) throw new EngineError('invalid-argument', `invalid port in expose: ${item}`);
    for (let port = Number(match[1]); port <= Number(match[2] ?? match[1]); port++)
      exposed[`${port}/${match[3] ?? 'tcp'}`] = {};
  }
  for (const item of asList(model['ports']).map(asDict)) {
    const port = `${textOf(item['target'])}/${asText(item['protocol']) ?? 'tcp'}`;
    exposed[port] = {};
    (bindings[port] ??= []).push({ HostIp: asText(item['host_ip']) ?? '', HostPort: asText(item['published']) ?? '' });
  }
  return { exposed, bindings };
}

function health(given: Dict): Pick<ContainerCreateRequest, 'Healthcheck'> {
  if (Object.keys(given).length === 0) return {};
  if (given['disable'] === true) return { Healthcheck: { Test: ['NONE'] } };
  const nanos = (key: string, name: string): Record<string, number> =>
    given[key] === undefined ? {} : { [name]: parseDuration(textOf(given[key])) };
  return {
    Healthcheck: {
      ...(given['test'] === undefined ? {} : { Test: asTexts(given['test']) }),
      ...nanos('interval', 'Interval'),
      ...nanos('timeout', 'Timeout'),
      ...nanos('start_period', 'StartPeriod'),
      ...nanos('start_interval', 'StartInterval'),
      ...(given['retries'] === undefined ? {} : { Retries: Number(given['retries']) }),
    },
  };
}

function hostConfig(service: Service, context: RequestContext, bindings: Record<string, PortBinding[]>): HostConfig {
  const { model } = service;
  const { binds, mounts } = mountsOf(service, context);
  const tmpfs = asTexts(model['tmpfs']).map((item) => item.split(/:(.*)/s));
  const logging = asDict(model['logging']);
  const list = (key: string): string[] | undefined => (model[key] === undefined ? undefined : asTexts(model[key]));
  return {
    NetworkMode: networkMode(service, context),
    PortBindings: bindings,
    Binds: binds,
    Mounts: mounts,
    RestartPolicy: restartPolicy(model),
    ...(tmpfs.length === 0
      ? {}
      : { Tmpfs: Object.fromEntries(tmpfs.map(([path, options]) => [path!, options ?? ''])) }),
    ...(Object.keys(logging).length === 0
      ? {}
      : { LogConfig: { ...text(logging, 'driver', 'Type'), Config: texts(asDict(logging['options'])) } }),
    CapAdd: list('cap_add') ?? null,
    CapDrop: list('cap_drop') ?? null,
    Dns: list('dns') ?? [],
    DnsSearch: list('dns_search') ?? [],
    DnsOptions: list('dns_opt') ?? [],
    GroupAdd: list('group_add') ?? null,
    ExtraHosts: (list('extra_hosts') ?? []).map((item) => item.replace('=', ':')),
    SecurityOpt: (list('security_opt') ?? []).map((item) => item.replace(/^([\w-]+):/, '$1=')),
    VolumesFrom: (list('volumes_from') ?? []).map((item) => volumesFrom(item, context)),
    ...(model['privileged'] === true ? { Privileged: true } : {}),
    ...(model['read_only'] === true ? { ReadonlyRootfs: true } : {}),
    ...(typeof model['init'] === 'boolean' ? { Init: model['init'] } : {}),
    ...(model['ipc'] === undefined ? {} : { IpcMode: shared(textOf(model['ipc']), context) }),
    ...(model['pid'] === undefined ? {} : { PidMode: shared(textOf(model['pid']), context) }),
    ...text(model, 'uts', 'UTSMode'),
    ...text(model, 'userns_mode', 'UsernsMode'),
    ...(text(model, 'cgroup', 'CgroupnsMode') as Pick<HostConfig, 'CgroupnsMode'>),
    ...text(model, 'cgroup_parent', 'CgroupParent'),
    ...text(model, 'runtime', 'Runtime'),
    ...number(model, 'shm_size', 'ShmSize'),
    ...number(model, 'oom_score_adj', 'OomScoreAdj'),
    ...record(model, 'sysctls', 'Sysctls'),
    ...record(model, 'annotations', 'Annotations'),
    ...record(model, 'storage_opt', 'StorageOpt'),
    ...resources(model),
  };
}

function volumesFrom(item: string, context: RequestContext): string {
  if (item.startsWith('container:')) return item.slice('container:'.length);
  const [name, mode] = item.split(':');
  return `${context.containerOf(name!)}${mode === undefined ? '' : `:${mode}`}`;
}

function restartPolicy(model: Dict): RestartPolicy {
  const written = asText(model['restart']);
  if (written !== undefined) {
    const [name, count] = written.split(':');
    return { Name: name as NonNullable<RestartPolicy['Name']>, MaximumRetryCount: Number(count ?? 0) };
  }
  const policy = asDict(asDict(model['deploy'])['restart_policy']);
  if (Object.keys(policy).length === 0) return { Name: 'no', MaximumRetryCount: 0 };
  const condition = asText(policy['condition']) ?? 'any';
  const name = condition === 'none' ? 'no' : condition === 'on-failure' ? 'on-failure' : 'unless-stopped';
  return {
    Name: condition === 'any' ? 'always' : name,
    MaximumRetryCount: name === 'on-failure' ? Number(policy['max_attempts'] ?? 0) : 0,
  };
}

function resources(model: Dict): Partial<HostConfig> {
  const deploy = asDict(asDict(model['deploy'])['resources']);
  const limits = asDict(deploy['limits']);
  const reservations = asDict(deploy['reservations']);
  const memory = Number(model['mem_limit'] ?? limits['memory'] ?? 0);
  const cpus = Number(model['cpus'] ?? limits['cpus'] ?? 0);
  const pids = model['pids_limit'] ?? limits['pids'];
  const reserved = Number(model['mem_reservation'] ?? reservations['memory'] ?? 0);
  const devices = [...asList(model['gpus']), ...asList(reservations['devices'])].map(asDict);
  const block = asDict(model['blkio_config']);
  const rates = (key: string): { Path: string; Rate: number }[] =>
    asList(block[key]).map((item) => ({ Path: textOf(asDict(item)['path']), Rate: Number(asDict(item)['rate']) }));
  return {
    ...(memory === 0 ? {} : { Memory: memory }),
    ...(cpus === 0 ? {} : { NanoCpus: Math.round(cpus * 1e9) }),
    ...(pids === undefined ? {} : { PidsLimit: Number(pids) }),
    ...(reserved === 0 ? {} : { MemoryReservation: reserved }),
    ...number(model, 'memswap_limit', 'MemorySwap'),
    ...number(model, 'mem_swappiness', 'MemorySwappiness'),
    ...number(model, 'cpu_shares', 'CpuShares'),
    ...micros(model, 'cpu_quota', 'CpuQuota'),
    ...micros(model, 'cpu_period', 'CpuPeriod'),
    ...micros(model, 'cpu_rt_period', 'CpuRealtimePeriod'),
    ...micros(model, 'cpu_rt_runtime', 'CpuRealtimeRuntime'),
    ...text(model, 'cpuset', 'CpusetCpus'),
    ...(model['oom_kill_disable'] === true ? { OomKillDisable: true } : {}),
    ...(asList(model['device_cgroup_rules']).length > 0
      ? { DeviceCgroupRules: asTexts(model['device_cgroup_rules']) }
      : {}),
    Devices: asList(model['devices'])
      .map(asDict)
      .map((item) => ({
        PathOnHost: textOf(item['source']),
        PathInContainer: asText(item['target']) ?? textOf(item['source']),
        CgroupPermissions: asText(item['permissions']) ?? 'rwm',
      })),
    Ulimits: Object.entries(asDict(model['ulimits'])).map(([name, limit]) => ({
      Name: name,
      Soft: Number(isDict(limit) ? limit['soft'] : limit),
      Hard: Number(isDict(limit) ? limit['hard'] : limit),
    })),
    ...(devices.length === 0
      ? {}
      : {
          DeviceRequests: devices.map((item) => ({
            Driver: asText(item['driver']) ?? '',
            Count: Number(item['count'] ?? (item['device_ids'] === undefined ? -1 : 0)),
            DeviceIDs: item['device_ids'] === undefined ? null : asTexts(item['device_ids']),
            Capabilities: [item['capabilities'] === undefined ? ['gpu'] : asTexts(item['capabilities'])],
            Options: texts(asDict(item['options'])),
          })),
        }),
    ...number(block, 'weight', 'BlkioWeight'),
    ...(block['weight_device'] === undefined
      ? {}
      : {
          BlkioWeightDevice: asList(block['weight_device']).map((item) => ({
            Path: textOf(asDict(item)['path']),
            Weight: Number(asDict(item)['weight']),
          })),
        }),
    ...(block['device_read_bps'] === undefined ? {} : { BlkioDeviceReadBps: rates('device_read_bps') }),
    ...(block['device_write_bps'] === undefined ? {} : { BlkioDeviceWriteBps: rates('device_write_bps') }),
    ...(block['device_read_iops'] === undefined ? {} : { BlkioDeviceReadIOps: rates('device_read_iops') }),
    ...(block['device_write_iops'] === undefined ? {} : { BlkioDeviceWriteIOps: rates('device_write_iops') }),
  };
}

/** Plain volumes and binds go in the classic form, which makes missing host directories; what it cannot say, as mounts. */
function mountsOf(service: Service, context: RequestContext): { binds: string[]; mounts: MountRequest[] } {
  const binds: string[] = [];
  const mounts: MountRequest[] = [];
  const taken = new Set<string>();
  for (const item of asList(service.model['volumes']).map(asDict)) {
    const target = textOf(item['target']);
    const source = asText(item['source']);
    taken.add(target);
    const mode = item['read_only'] === true ? 'ro' : 'rw';
    const bind = asDict(item['bind']);
    const volume = asDict(item['volume']);
    if (item['type'] === 'bind' && bind['create_host_path'] === true && bind['recursive'] === undefined) {
      const options = [mode, asText(bind['selinux']), asText(bind['propagation'])].filter(
        (option) => option !== undefined,
      );
      binds.push(`${source}:${target}:${options.join(',')}`);
    } else if (item['type'] === 'volume' && source !== undefined && volume['subpath'] === undefined) {
      binds.push(
        `${textOf(resource(context.project, 'volumes', source)['name'])}:${target}:${mode}${volume['nocopy'] === true ? ',nocopy' : ''}`,
      );
    } else if (item['type'] === 'volume' && source === undefined && context.inherited?.has(target)) {
      binds.push(`${context.inherited.get(target)!}:${target}:${mode}`);
    } else mounts.push(mountOf(item, context, source, target));
  }
  for (const [target, name] of context.inherited ?? []) if (!taken.has(target)) binds.push(`${name}:${target}:rw`);
  return { binds, mounts };
}

function mountOf(item: Dict, context: RequestContext, source: string | undefined, target: string): MountRequest {
  const type = textOf(item['type']) as MountRequest['Type'];
  const bind = asDict(item['bind']);
  const volume = asDict(item['volume']);
  const tmpfs = asDict(item['tmpfs']);
  const named =
    type === 'volume' && source !== undefined ? textOf(resource(context.project, 'volumes', source)['name']) : source;
  const recursive = asText(bind['recursive']);
  return {
    Type: type,
    Target: target,
    ...(named === undefined ? {} : { Source: named }),
    ...(item['read_only'] === true ? { ReadOnly: true } : {}),
    ...text(item, 'consistency', 'Consistency'),
    ...(type === 'bind'
      ? {
          BindOptions: {
            ...text(bind, 'propagation', 'Propagation'),
            ...(recursive === 'disabled' ? { NonRecursive: true } : {}),
            ...(recursive === 'writable' ? { ReadOnlyNonRecursive: true } : {}),
            ...(recursive === 'readonly' ? { ReadOnlyForceRecursive: true } : {}),
          },
        }
      : {}),
    ...(type === 'volume'
      ? {
          VolumeOptions: {
            ...(volume['nocopy'] === true ? { NoCopy: true } : {}),
            ...text(volume, 'subpath', 'Subpath'),
            ...record(volume, 'labels', 'Labels'),
          },
        }
      : {}),
    ...(type === 'tmpfs'
      ? { TmpfsOptions: { ...number(tmpfs, 'size', 'SizeBytes'), ...number(tmpfs, 'mode', 'Mode') } }
      : {}),
    ...(type === 'image' ? { ImageOptions: text(asDict(item['image']), 'subpath', 'Subpath') } : {}),
  };
}

function text<K extends string>(from: Dict, key: string, name: K): Partial<Record<K, string>> {
  const value = asText(from[key]);
  return (value === undefined ? {} : { [name]: value }) as Partial<Record<K, string>>;
}

function number<K extends string>(from: Dict, key: string, name: K): Partial<Record<K, number>> {
  const value = asText(from[key]);
  return (value === undefined ? {} : { [name]: Number(value) }) as Partial<Record<K, number>>;
}

function micros<K extends string>(from: Dict, key: string, name: K): Partial<Record<K, number>> {
  const value = asText(from[key]);
  if (value === undefined) return {};
  return { [name]: /[a-zµ]$/.test(value) ? Math.round(parseDuration(value) / 1e3) : Number(value) } as Partial<
    Record<K, number>
  >;
}

function record<K extends string>(from: Dict, key: string, name: K): Partial<Record<K, Record<string, string>>> {
  return (from[key] === undefined ? {} : { [name]: texts(asDict(from[key])) }) as Partial<
    Record<K, Record<string, string>>
  >;
}

export function texts(value: Dict): Record<string, string> {
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, asText(item) ?? '']));
}
