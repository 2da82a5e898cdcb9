import { isAbsolute } from 'node:path';
import type { ContainerCreateRequest, DeviceMapping, DeviceRequest, HostConfig } from '../../api/container.ts';
import type { EndpointSettings } from '../../api/network.ts';
import type { Environment } from '../cli.ts';
import type { ContainerFlags } from './container-flags.ts';
import { effectiveCapabilities } from './capabilities.ts';
import { cutPair } from './csv.ts';
import { readEnvironment, readLabels, toRecord } from './environment.ts';
import { ON_UNHEALTHY_LABEL } from '../../api/gantry.ts';
import { parseHealth } from './health.ts';
import { parseVolume } from './mount.ts';
import { checkLink, checkMac, endpointSettings, isUserDefined, type NetworkAttachment } from './network.ts';
import { parsePorts } from './ports.ts';
import { parseDevice } from './resource.ts';
import { parseRestart } from './restart.ts';
import { parseSecurityOptions } from './security.ts';

/** The request that `run` or `create` make of their flags. Only what was asked for is in it. Throws an Error in docker's words. */
export function containerRequest(
  flags: ContainerFlags,
  given: ReadonlySet<string>,
  args: readonly string[],
  env: Environment,
): ContainerCreateRequest {
  const [image, ...command] = args;
  const attached = new Set(flags.attach);
  const stdin = attached.has('stdin') || (flags.interactive && attached.size === 0);
  const ports = parsePorts(flags.publish, flags.expose);
  const volumes = flags.volume.map(parseVolume);
  const anonymous = volumes.flatMap((volume) => ('anonymous' in volume ? [volume.anonymous] : []));
  const health = parseHealth(flags);
  const labels = readLabels(flags['label-file'], flags.label);
  if (!['', 'none', 'restart'].includes(flags['on-unhealthy']))
    throw new Error(`invalid --on-unhealthy ${JSON.stringify(flags['on-unhealthy'])}: use none or restart`);
  if (flags['on-unhealthy'] === 'restart') labels[ON_UNHEALTHY_LABEL] = 'restart';
  const environment = readEnvironment(flags['env-file'], flags.env, env);
  const restart = parseRestart(flags.restart);
  if (flags.rm && restart.Name !== undefined && restart.Name !== 'no') {
    throw new Error('conflicting options: cannot specify both --restart and --rm');
  }
  const networks = attachments(flags);
  const host = hostConfig(flags, given, env);
  host.NetworkMode = networks[0]?.target ?? 'default';
  return {
    ...(flags.hostname === '' ? {} : { Hostname: flags.hostname }),
    ...(flags.domainname === '' ? {} : { Domainname: flags.domainname }),
    ...(flags.user === '' ? {} : { User: flags.user }),
    AttachStdin: stdin,
    AttachStdout: attached.size === 0 || attached.has('stdout'),
    AttachStderr: attached.size === 0 || attached.has('stderr'),
    Tty: flags.tty,
    OpenStdin: flags.interactive,
    StdinOnce: flags.interactive && stdin,
    ...(environment.length === 0 ? {} : { Env: environment }),
    ...(command.length === 0 ? {} : { Cmd: command }),
    Image: image!,
    ...(anonymous.length === 0 ? {} : { Volumes: Object.fromEntries(anonymous.map((path) => [path, {}])) }),
    ...(flags.workdir === '' ? {} : { WorkingDir: flags.workdir }),
    ...(given.has('entrypoint') ? { Entrypoint: [flags.entrypoint] } : {}),
    ...(Object.keys(labels).length === 0 ? {} : { Labels: labels }),
    ...(Object.keys(ports.exposed).length === 0 ? {} : { ExposedPorts: ports.exposed }),
    ...(flags['stop-signal'] === '' ? {} : { StopSignal: flags['stop-signal'] }),
    ...(given.has('stop-timeout') ? { StopTimeout: flags['stop-timeout'] } : {}),
    ...(health ? { Healthcheck: health } : {}),
    HostConfig: {
      ...host,
      ...(Object.keys(ports.bindings).length === 0 ? {} : { PortBindings: ports.bindings }),
      ...(volumes.length === anonymous.length
        ? {}
        : { Binds: volumes.flatMap((volume) => ('bind' in volume ? [volume.bind] : [])) }),
      RestartPolicy: restart,
    },
    NetworkingConfig: { EndpointsConfig: endpoints(networks) },
  };
}

function hostConfig(flags: ContainerFlags, given: ReadonlySet<string>, env: Environment): HostConfig {
  checkModes(flags);
  const host: HostConfig = {};
  if (flags.cidfile !== '') host.ContainerIDFile = flags.cidfile;
  const logOptions = flags['log-opt'];
  if (flags['log-driver'] === 'none' && logOptions.length > 0) throw new Error('invalid logging opts for driver none');
  if (flags['log-driver'] !== '' || logOptions.length > 0) {
    host.LogConfig = { Type: flags['log-driver'], Config: toRecord(logOptions) };
  }
  if (flags.rm) host.AutoRemove = true;
  if (flags['volume-driver'] !== '') host.VolumeDriver = flags['volume-driver'];
  if (flags['volumes-from'].length > 0) host.VolumesFrom = [...flags['volumes-from']];
  if (flags.annotation.size > 0) host.Annotations = Object.fromEntries(flags.annotation);
  const { add, drop } = effectiveCapabilities(flags['cap-add'], flags['cap-drop']);
  if (add.length > 0) host.CapAdd = add;
  if (drop.length > 0) host.CapDrop = drop;
  if (flags.cgroupns !== '') host.CgroupnsMode = flags.cgroupns as 'host' | 'private';
  if (flags.dns.length > 0) host.Dns = [...flags.dns];
  const dnsOptions = [...flags['dns-option'], ...flags['dns-opt']];
  if (dnsOptions.length > 0) host.DnsOptions = dnsOptions;
  if (flags['dns-search'].length > 0) host.DnsSearch = [...flags['dns-search']];
  if (flags['add-host'].length > 0) host.ExtraHosts = [...flags['add-host']];
  if (flags['group-add'].length > 0) host.GroupAdd = [...flags['group-add']];
  if (flags.ipc !== '') host.IpcMode = flags.ipc;
  if (flags.link.length > 0) host.Links = flags.link.map(checkLink);
  if (flags['oom-score-adj'] !== 0) host.OomScoreAdj = flags['oom-score-adj'];
  if (flags.pid !== '') host.PidMode = flags.pid;
  if (flags.privileged) host.Privileged = true;
  if (flags['publish-all']) host.PublishAllPorts = true;
  if (flags['read-only']) host.ReadonlyRootfs = true;
  const security = parseSecurityOptions([...(flags.hardened ? ['hardened=true'] : []), ...flags['security-opt']]);
  if (security.options.length > 0) host.SecurityOpt = security.options;
  if (security.unconfinedPaths) Object.assign(host, { MaskedPaths: [], ReadonlyPaths: [] });
  if (flags['storage-opt'].length > 0) {
    for (const option of flags['storage-opt']) if (!cutPair(option)) throw new Error('invalid storage option');
    host.StorageOpt = toRecord(flags['storage-opt']);
  }
  if (flags.tmpfs.length > 0) {
    host.Tmpfs = Object.fromEntries(
      flags.tmpfs.map((item) => {
        const cut = item.indexOf(':');
        return cut < 0 ? [item, ''] : [item.slice(0, cut), item.slice(cut + 1)];
      }),
    );
  }
  if (flags.uts !== '') host.UTSMode = flags.uts;
  if (flags.userns !== '') host.UsernsMode = flags.userns;
  if (flags['shm-size'] !== 0) host.ShmSize = flags['shm-size'];
  if (flags.sysctl.size > 0) host.Sysctls = Object.fromEntries(flags.sysctl);
  if (flags.runtime !== '') host.Runtime = flags.runtime;
  if (flags.isolation !== '') host.Isolation = flags.isolation;
  if (flags.mount.length > 0) host.Mounts = [...flags.mount];
  if (flags.secret.length > 0) host.Secrets = [...flags.secret];
  if (given.has('init')) host.Init = flags.init;
  if (flags['use-api-socket']) shareSocket(host, env);
  return { ...host, ...resources(flags, given) };
}

function resources(flags: ContainerFlags, given: ReadonlySet<string>): HostConfig {
  const swappiness = flags['memory-swappiness'];
  if (swappiness !== -1 && (swappiness < 0 || swappiness > 100)) {
    throw new Error(`invalid value: ${swappiness}. Valid memory swappiness range is 0-100`);
  }
  const devices: DeviceMapping[] = [];
  const requests: DeviceRequest[] = [...flags.gpus];
  const cdi: string[] = [];
  for (const device of flags.device) {
    const parsed = parseDevice(device);
    if ('cdi' in parsed) cdi.push(parsed.cdi);
    else devices.push(parsed.mapping);
  }
  if (cdi.length > 0) requests.push({ Driver: 'cdi', DeviceIDs: cdi });
  return {
    ...(flags['cpu-shares'] === 0 ? {} : { CpuShares: flags['cpu-shares'] }),
    ...(flags.memory === 0 ? {} : { Memory: flags.memory }),
    ...(flags.cpus === 0 ? {} : { NanoCpus: flags.cpus }),
    ...(flags['cgroup-parent'] === '' ? {} : { CgroupParent: flags['cgroup-parent'] }),
    ...(flags['blkio-weight'] === 0 ? {} : { BlkioWeight: flags['blkio-weight'] }),
    ...(flags['blkio-weight-device'].length === 0 ? {} : { BlkioWeightDevice: [...flags['blkio-weight-device']] }),
    ...(flags['device-read-bps'].length === 0 ? {} : { BlkioDeviceReadBps: [...flags['device-read-bps']] }),
    ...(flags['device-write-bps'].length === 0 ? {} : { BlkioDeviceWriteBps: [...flags['device-write-bps']] }),
    ...(flags['device-read-iops'].length === 0 ? {} : { BlkioDeviceReadIOps: [...flags['device-read-iops']] }),
    ...(flags['device-write-iops'].length === 0 ? {} : { BlkioDeviceWriteIOps: [...flags['device-write-iops']] }),
    ...(flags['cpu-period'] === 0 ? {} : { CpuPeriod: flags['cpu-period'] }),
    ...(flags['cpu-quota'] === 0 ? {} : { CpuQuota: flags['cpu-quota'] }),
    ...(flags['cpu-rt-period'] === 0 ? {} : { CpuRealtimePeriod: flags['cpu-rt-period'] }),
    ...(flags['cpu-rt-runtime'] === 0 ? {} : { CpuRealtimeRuntime: flags['cpu-rt-runtime'] }),
    ...(flags['cpuset-cpus'] === '' ? {} : { CpusetCpus: flags['cpuset-cpus'] }),
    ...(flags['cpuset-mems'] === '' ? {} : { CpusetMems: flags['cpuset-mems'] }),
    ...(devices.length === 0 ? {} : { Devices: devices }),
    ...(flags['device-cgroup-rule'].length === 0 ? {} : { DeviceCgroupRules: [...flags['device-cgroup-rule']] }),
    ...(requests.length === 0 ? {} : { DeviceRequests: requests }),
    ...(flags['memory-reservation'] === 0 ? {} : { MemoryReservation: flags['memory-reservation'] }),
    ...(flags['memory-swap'] === 0 ? {} : { MemorySwap: flags['memory-swap'] }),
    ...(swappiness === -1 ? {} : { MemorySwappiness: swappiness }),
    ...(flags['oom-kill-disable'] ? { OomKillDisable: true } : {}),
    ...(given.has('pids-limit') ? { PidsLimit: flags['pids-limit'] } : {}),
    ...(flags.ulimit.length === 0
      ? {}
      : { Ulimits: [...new Map(flags.ulimit.map((item) => [item.Name, item])).values()] }),
    ...(flags['cpu-count'] === 0 ? {} : { CpuCount: flags['cpu-count'] }),
    ...(flags['cpu-percent'] === 0 ? {} : { CpuPercent: flags['cpu-percent'] }),
    ...(flags['io-maxiops'] === 0 ? {} : { IOMaximumIOps: flags['io-maxiops'] }),
    ...(flags['io-maxbandwidth'] === 0 ? {} : { IOMaximumBandwidth: flags['io-maxbandwidth'] }),
  };
}

function checkModes(flags: ContainerFlags): void {
  if (!/^($|host$|container:.+)/.test(flags.pid)) throw new Error('--pid: invalid PID mode');
  if (!['', 'host'].includes(flags.uts)) throw new Error('--uts: invalid UTS mode');
  if (!/^(?:host|auto(?::size=\d{1,9})?)?$/.test(flags.userns)) throw new Error('--userns: invalid USER mode');
  if (!['', 'host', 'private'].includes(flags.cgroupns)) throw new Error('--cgroupns: invalid CGROUP mode');
}

/** The networks, with what the flags outside `--network` say about the first. */
function attachments(flags: ContainerFlags): NetworkAttachment[] {
  const networks = [...flags.network, ...flags.net].map((network) => ({ ...network }));
  const first: NetworkAttachment = networks[0] ?? {
    target: 'default',
    aliases: [],
    linkLocal: [],
    links: [],
    driverOpts: {},
    gwPriority: 0,
  };
  if (networks.length === 0) networks.push(first);
  const both = (flag: string, key: string): Error =>
    new Error(`conflicting options: cannot specify both --${flag} and per-network ${key}`);
  const aliases = [...flags['network-alias'], ...flags['net-alias']];
  if (aliases.length > 0) {
    if (first.aliases.length > 0) throw both('network-alias', 'alias');
    first.aliases = aliases;
  }
  if (flags.ip !== '') {
    if (first.ipv4 !== undefined) throw both('ip', 'IPv4 address');
    first.ipv4 = flags.ip;
  }
  if (flags.ip6 !== '') {
    if (first.ipv6 !== undefined) throw both('ip6', 'IPv6 address');
    first.ipv6 = flags.ip6;
  }
  if (flags['mac-address'] !== '') {
    if (first.macAddress !== undefined) throw both('mac-address', 'MAC address');
    first.macAddress = checkMac(flags['mac-address']);
  }
  if (flags['link-local-ip'].length > 0) {
    if (first.linkLocal.length > 0) throw both('link-local-ip', 'link-local IP addresses');
    first.linkLocal = [...flags['link-local-ip']];
  }
  if (flags.link.length > 0 && isUserDefined(first.target)) first.links = flags.link.map(checkLink);
  const names = networks.map(({ target }) => target);
  for (const [i, name] of names.entries()) {
    if (names.indexOf(name) !== i) throw new Error(`network "${name}" is specified multiple times`);
  }
  if (names.length > 1 && names.some((name) => name.startsWith('container:') || ['host', 'none'].includes(name))) {
    throw new Error('conflicting options: cannot attach both user-defined and non-user-defined network-modes');
  }
  return networks;
}

function endpoints(networks: readonly NetworkAttachment[]): Record<string, EndpointSettings> {
  return Object.fromEntries(networks.map((network) => [network.target, endpointSettings(network)]));
}

/** `--use-api-socket`: a container that can itself use the engine. */
function shareSocket(host: HostConfig, env: Environment): void {
  const socket = (env['GANTRY_HOST'] || env['DOCKER_HOST'] || 'unix:///run/gantry/gantry.sock').replace(
    /^unix:\/\//,
    '',
  );
  if (!isAbsolute(socket)) throw new Error('flag --use-api-socket needs an engine on a unix socket');
  host.Mounts = [
    ...(host.Mounts ?? []),
    { Type: 'bind', Source: socket, Target: '/var/run/docker.sock', BindOptions: {} },
  ];
}
