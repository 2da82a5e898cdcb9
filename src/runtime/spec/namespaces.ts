import type { HostConfig } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import type { HostFacts } from '../../linux/host-facts.ts';
import type { LinuxSpec } from './oci-spec.ts';

export interface NamespaceOptions {
  readonly hostConfig: HostConfig;
  readonly host: HostFacts;
  readonly network: { readonly path: string } | 'host' | 'new';
  /** Pids of the containers that `container:x` names. */
  readonly joins: { readonly ipc?: number; readonly pid?: number };
  /** With `ids`: one that is there already; undefined is a new one. */
  readonly userNamespace?: string | undefined;
  readonly ids?: SpecIds | undefined;
}

/** Ranges of the host's ids that a container has for its own. */
export interface SpecIds {
  readonly uid: { readonly base: number; readonly size: number };
  readonly gid: { readonly base: number; readonly size: number };
}

type Namespace = LinuxSpec['namespaces'][number];

export function containerNamespaces(options: NamespaceOptions): Namespace[] {
  const { hostConfig } = options;
  const list: Namespace[] = [{ type: 'mount' }];
  if (options.ids)
    list.push({ type: 'user', ...(options.userNamespace !== undefined && { path: options.userNamespace }) });
  if (options.network === 'new') list.push({ type: 'network' });
  else if (options.network !== 'host') list.push({ type: 'network', path: options.network.path });
  if (hostConfig.UTSMode !== 'host') list.push({ type: 'uts' });
  list.push(...joinable('pid', hostConfig.PidMode, options.joins.pid));
  list.push(...joinable('ipc', hostConfig.IpcMode, options.joins.ipc));
  if (cgroupNamespace(hostConfig, options.host) === 'private') list.push({ type: 'cgroup' });
  return list;
}

/** Docker's default: the host's on cgroup v1, an own one on v2; a privileged container on v1 sees the host's. */
export function cgroupNamespace(hostConfig: HostConfig, host: HostFacts): 'private' | 'host' {
  if (!host.cgroupNamespaces) return 'host';
  if (hostConfig.CgroupnsMode === 'private' || hostConfig.CgroupnsMode === 'host') return hostConfig.CgroupnsMode;
  return host.cgroup.version === 2 ? 'private' : 'host';
}

function joinable(type: 'pid' | 'ipc', mode: string | undefined, joined: number | undefined): Namespace[] {
  if (mode === 'host') return [];
  if (mode?.startsWith('container:') !== true) return [{ type }];
  if (joined === undefined) throw new EngineError('internal', `${type} mode ${mode}: nobody said which process it is`);
  return [{ type, path: `/proc/${joined}/ns/${type}` }];
}
