import { resolve } from 'node:path';
import type { ContainerInspect } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';
import { type Dict, dict } from '../../compose/model/value.ts';
import { kubeName } from '../names.ts';
import { KUBE_LABEL } from './labels.ts';
import { podContainers } from './play.ts';

export interface GenerateOptions {
  readonly kind: 'Pod' | 'Deployment';
  /** A Service for the published ports as well. */
  readonly service: boolean;
  readonly warn: (message: string) => void;
}

interface Source {
  readonly inspect: ContainerInspect;
  readonly role: string;
  readonly image: {
    readonly Entrypoint?: readonly string[] | null;
    readonly Cmd?: readonly string[] | null;
    readonly Env?: readonly string[] | null;
    readonly WorkingDir?: string;
    readonly User?: string;
  };
}

/** The volumes of the pod, the claims beside it, and which volumes were made for it alone: true of those in memory. */
interface Places {
  readonly volumes: Map<string, Dict>;
  readonly claims: Map<string, Dict>;
  readonly own: ReadonlyMap<string, boolean>;
}

/** Manifests of a played pod, or of containers as one pod. Throws `not-found`. */
export async function generateManifests(
  client: Client,
  names: readonly string[],
  options: GenerateOptions,
): Promise<Dict[]> {
  const { pod, sources } = await sourcesOf(client, names);
  const { Volumes } = await client.volumes.list(new Map([['label', [`${KUBE_LABEL.pod}=${pod}`]]]));
  const own = new Map((Volumes ?? []).map((volume) => [volume.Name, volume.Options?.['type'] === 'tmpfs'] as const));
  const volumes = new Map<string, Dict>();
  const claims = new Map<string, Dict>();
  const infra = sources.find(({ role }) => role === 'infra');
  const apps = sources.filter(({ role }) => role !== 'infra');
  const ports = [...(infra ? [infra] : []), ...apps].flatMap(({ inspect }) => publishedOf(inspect));
  const containers = apps.map((source, index) =>
    containerOf(source, { volumes, claims, own }, index === 0 ? ports : [], options.warn),
  );
  const first = (infra ?? apps[0])!.inspect;
  const name = kubeName(pod);
  const labels = dict([['app', name]]);
  const spec = dict([
    ['containers', containers],
    ['volumes', volumes.size > 0 ? [...volumes.values()] : undefined],
    ['restartPolicy', options.kind === 'Pod' ? restartPolicyOf(apps[0]!.inspect) : undefined],
    ['hostname', infra && first.Config.Hostname !== name ? first.Config.Hostname : undefined],
    ['hostNetwork', first.HostConfig.NetworkMode === 'host' ? true : undefined],
    ['hostPID', apps.some(({ inspect }) => inspect.HostConfig.PidMode === 'host') ? true : undefined],
    ['hostIPC', first.HostConfig.IpcMode === 'host' ? true : undefined],
    ['terminationGracePeriodSeconds', apps[0]!.inspect.Config.StopTimeout ?? undefined],
  ]);
  const manifests: Dict[] = [...claims.values()];
  if (options.service && ports.length > 0) manifests.push(serviceOf(name, labels, ports));
  const metadata = (own: string): Dict =>
    dict([
      ['name', own],
      ['labels', labels],
    ]);
  manifests.push(
    options.kind === 'Pod'
      ? dict([
          ['apiVersion', 'v1'],
          ['kind', 'Pod'],
          ['metadata', metadata(name)],
          ['spec', spec],
        ])
      : dict([
          ['apiVersion', 'apps/v1'],
          ['kind', 'Deployment'],
          ['metadata', metadata(name)],
          [
            'spec',
            dict([
              ['replicas', 1],
              ['selector', dict([['matchLabels', labels]])],
              [
                'template',
                dict([
                  ['metadata', dict([['labels', labels]])],
                  ['spec', spec],
                ]),
              ],
            ]),
          ],
        ]),
  );
  return manifests;
}

async function sourcesOf(client: Client, names: readonly string[]): Promise<{ pod: string; sources: Source[] }> {
  let pod = names[0]!;
  let found = names.length === 1 ? (await podContainers(client, pod)).map(({ id, role }) => ({ id, role })) : [];
  if (found.length === 0) {
    found = names.map((id) => ({ id, role: 'app' }));
    const inspected = await client.containers.inspect(names[0]!);
    pod = `${inspected.Name.slice(1)}${names.length > 1 ? '-pod' : ''}`;
  }
  const sources = await Promise.all(
    found.map(async ({ id, role }) => {
      const inspect = await client.containers.inspect(id);
      const image = await client.images.inspect(inspect.Image).then(
        ({ Config }) => (Config ?? {}) as Source['image'],
        () => ({}),
      );
      return { inspect, role, image };
    }),
  );
  if (!sources.some(({ role }) => role !== 'infra'))
    throw new EngineError('not-found', `pod ${pod} has no containers but its own`);
  return { pod, sources };
}

function containerOf(
  { inspect, image }: Source,
  places: Places,
  ports: readonly Dict[],
  warn: (message: string) => void,
): Dict {
  const { Config, HostConfig } = inspect;
  const name = kubeName(Config.Labels?.[KUBE_LABEL.container] ?? inspect.Name.slice(1));
  const different = (
    own: readonly string[] | null | undefined,
    of: readonly string[] | null | undefined,
  ): string[] | undefined =>
    own && JSON.stringify(own) !== JSON.stringify(of ?? null)
      ? own.map((word) => word.replaceAll('$(', '$$$('))
      : undefined;
  const env = (Config.Env ?? [])
    .filter((item) => !(image.Env ?? []).includes(item) && !/^(PATH|HOSTNAME|HOME)=/.test(item))
    .map((item) => {
      const [key, value] = item.split(/=(.*)/s);
      return dict([
        ['name', key],
        ['value', (value ?? '').replaceAll('$(', '$$$(')],
      ]);
    });
  const command = different(Config.Entrypoint, image.Entrypoint);
  const mounts = mountsOf(inspect, places, warn);
  for (const [field, value] of Object.entries({
    Devices: HostConfig.Devices,
    Ulimits: HostConfig.Ulimits,
    Links: HostConfig.Links,
    VolumesFrom: HostConfig.VolumesFrom,
  }))
    if (Array.isArray(value) && value.length > 0) warn(`${name}: ${field} has no counterpart in a pod`);
  return dict([
    ['name', name],
    ['image', Config.Image],
    ['command', command],
    // with another entrypoint the image's own arguments do not count
    ['args', command ? nonEmpty(Config.Cmd) : different(Config.Cmd, image.Cmd)],
    ['workingDir', Config.WorkingDir && Config.WorkingDir !== image.WorkingDir ? Config.WorkingDir : undefined],
    ['env', env.length > 0 ? env : undefined],
    ['ports', ports.length > 0 ? [...ports] : undefined],
    ['resources', resourcesOf(HostConfig)],
    ['livenessProbe', probeOf(Config.Healthcheck)],
    ['securityContext', securityOf(inspect, image)],
    ['stdin', Config.OpenStdin ? true : undefined],
    ['tty', Config.Tty ? true : undefined],
    ['volumeMounts', mounts.length > 0 ? mounts : undefined],
  ]);
}

function nonEmpty(words: readonly string[] | null | undefined): string[] | undefined {
  return words && words.length > 0 ? [...words] : undefined;
}

function publishedOf({ HostConfig }: ContainerInspect): Dict[] {
  return Object.entries(HostConfig.PortBindings ?? {}).flatMap(([key, bindings]) => {
    const [port, protocol = 'tcp'] = key.split('/');
    return (bindings ?? []).map(({ HostPort, HostIp }) =>
      dict([
        ['containerPort', Number(port)],
        ['hostPort', HostPort ? Number(HostPort.split('-')[0]) : undefined],
        ['hostIP', HostIp || undefined],
        ['protocol', protocol.toUpperCase()],
      ]),
    );
  });
}

function mountsOf(
  { Mounts, HostConfig }: ContainerInspect,
  { volumes, claims, own }: Places,
  warn: (message: string) => void,
): Dict[] {
  const made: Dict[] = [];
  const add = (name: string, source: Dict, target: string, readOnly: boolean, subPath?: string): void => {
    volumes.set(name, dict([['name', name], ...Object.entries(source)]));
    made.push(
      dict([
        ['name', name],
        ['mountPath', target],
        ['readOnly', readOnly ? true : undefined],
        ['subPath', subPath],
      ]),
    );
  };
  const partOf = ({ Destination }: (typeof Mounts)[number]): string | undefined => {
    const asked = HostConfig.Mounts?.find(({ Target }) => resolve('/', Target) === Destination);
    return asked?.VolumeOptions?.Subpath ?? asked?.BindOptions?.Subpath;
  };
  for (const mount of Mounts) {
    const name = kubeName(mount.Name ?? mount.Destination);
    if (mount.Type === 'volume' && /^[0-9a-f]{64}$/.test(mount.Name ?? ''))
      add(kubeName('anonymous', mount.Destination), dict([['emptyDir', dict()]]), mount.Destination, !mount.RW);
    else if (mount.Type === 'volume' && own.has(mount.Name ?? '')) {
      if (!mount.RW) warn(`the files of ${mount.Name} at ${mount.Destination} are not written out`);
      add(
        name,
        own.get(mount.Name!) ? memory() : dict([['emptyDir', dict()]]),
        mount.Destination,
        !mount.RW,
        partOf(mount),
      );
    } else if (mount.Type === 'volume') {
      claims.set(name, claimOf(name));
      add(
        name,
        dict([['persistentVolumeClaim', dict([['claimName', name]])]]),
        mount.Destination,
        !mount.RW,
        partOf(mount),
      );
    } else if (mount.Type === 'bind')
      add(
        kubeName('host', mount.Destination),
        dict([['hostPath', dict([['path', mount.Source]])]]),
        mount.Destination,
        !mount.RW,
        partOf(mount),
      );
    else if (mount.Type === 'tmpfs') add(name, memory(), mount.Destination, false);
    else warn(`a mount of type ${mount.Type} at ${mount.Destination} has no counterpart in a pod`);
  }
  for (const target of Object.keys(HostConfig.Tmpfs ?? {})) add(kubeName('tmpfs', target), memory(), target, false);
  for (const { SecretName = '', File } of HostConfig.Secrets ?? []) {
    const target = File?.Name?.startsWith('/') ? File.Name : `/run/secrets/${File?.Name ?? SecretName}`;
    warn(`the Secret ${SecretName} must be there, with the key ${SecretName}: its value is not given out`);
    add(
      kubeName('secret', SecretName, target),
      dict([['secret', dict([['secretName', kubeName(SecretName)]])]]),
      target,
      true,
      SecretName,
    );
  }
  return made;
}

function memory(): Dict {
  return dict([['emptyDir', dict([['medium', 'Memory']])]]);
}

function claimOf(name: string): Dict {
  return dict([
    ['apiVersion', 'v1'],
    ['kind', 'PersistentVolumeClaim'],
    ['metadata', dict([['name', name]])],
    [
      'spec',
      dict([
        ['accessModes', ['ReadWriteOnce']],
        ['resources', dict([['requests', dict([['storage', '1Gi']])]])],
      ]),
    ],
  ]);
}

function resourcesOf(host: ContainerInspect['HostConfig']): Dict | undefined {
  const amounts = (cpu: string | undefined, memoryBytes: number | undefined): Dict | undefined => {
    const made = dict([
      ['cpu', cpu],
      ['memory', memoryBytes ? String(memoryBytes) : undefined],
    ]);
    return Object.keys(made).length > 0 ? made : undefined;
  };
  const made = dict([
    ['limits', amounts(host.NanoCpus ? `${Math.round(host.NanoCpus / 1e6)}m` : undefined, host.Memory)],
    [
      'requests',
      amounts(host.CpuShares ? `${Math.round((host.CpuShares / 1024) * 1000)}m` : undefined, host.MemoryReservation),
    ],
  ]);
  return Object.keys(made).length > 0 ? made : undefined;
}

function probeOf(health: ContainerInspect['Config']['Healthcheck']): Dict | undefined {
  const [kind, ...words] = health?.Test ?? [];
  if (!health || kind === undefined || kind === 'NONE') return undefined;
  const seconds = (nanos: number | undefined, initial: number): number =>
    Math.max(1, Math.ceil((nanos || initial * 1e9) / 1e9));
  return dict([
    ['exec', dict([['command', kind === 'CMD-SHELL' ? ['/bin/sh', '-c', words[0] ?? ''] : words]])],
    ['initialDelaySeconds', health.StartPeriod ? seconds(health.StartPeriod, 1) : undefined],
    ['periodSeconds', seconds(health.Interval, 30)],
    ['timeoutSeconds', seconds(health.Timeout, 30)],
    ['failureThreshold', health.Retries || 3],
  ]);
}

function securityOf({ Config, HostConfig }: ContainerInspect, image: Source['image']): Dict | undefined {
  const [uid, gid] = (Config.User ?? '').split(':');
  const own = Config.User !== (image.User ?? '');
  const names = (list: readonly string[] | null | undefined): string[] | undefined =>
    list && list.length > 0 ? [...list] : undefined;
  const capabilities = dict([
    ['add', names(HostConfig.CapAdd)],
    ['drop', names(HostConfig.CapDrop)],
  ]);
  const made = dict([
    ['runAsUser', own && /^\d+$/.test(uid ?? '') ? Number(uid) : undefined],
    ['runAsGroup', own && /^\d+$/.test(gid ?? '') ? Number(gid) : undefined],
    ['privileged', HostConfig.Privileged ? true : undefined],
    ['readOnlyRootFilesystem', HostConfig.ReadonlyRootfs ? true : undefined],
    [
      'allowPrivilegeEscalation',
      HostConfig.SecurityOpt?.some((option) => option.startsWith('no-new-privileges')) ? false : undefined,
    ],
    ['capabilities', Object.keys(capabilities).length > 0 ? capabilities : undefined],
  ]);
  return Object.keys(made).length > 0 ? made : undefined;
}

function restartPolicyOf({ HostConfig }: ContainerInspect): string {
  const name = HostConfig.RestartPolicy?.Name ?? 'no';
  return name === 'on-failure' ? 'OnFailure' : name === 'no' || name === '' ? 'Never' : 'Always';
}

function serviceOf(name: string, labels: Dict, ports: readonly Dict[]): Dict {
  return dict([
    ['apiVersion', 'v1'],
    ['kind', 'Service'],
    [
      'metadata',
      dict([
        ['name', name],
        ['labels', labels],
      ]),
    ],
    [
      'spec',
      dict([
        ['type', 'LoadBalancer'],
        ['selector', labels],
        [
          'ports',
          ports.map((port) =>
            dict([
              [
                'name',
                `${String(port['protocol'] as string).toLowerCase()}-${String(port['containerPort'] as number)}`,
              ],
              ['port', port['hostPort'] ?? port['containerPort']],
              ['targetPort', port['containerPort']],
              ['protocol', port['protocol']],
            ]),
          ),
        ],
      ]),
    ],
  ]);
}
