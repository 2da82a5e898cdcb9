import type { ContainerCreateRequest, HostConfig } from '../../api/container.ts';
import { ON_UNHEALTHY_LABEL } from '../../api/gantry.ts';
import { EngineError } from '../../base/errors.ts';
import { asDict, asList, asText, asTexts, type Dict, textOf } from '../../compose/model/value.ts';
import { parseQuantity } from '../quantity.ts';
import { environment, expand } from './environment.ts';
import { KUBE_LABEL } from './labels.ts';
import type { PlayObjects, PodTemplate } from './objects.ts';
import { healthcheck } from './probes.ts';
import type { ContainerMounts } from './volumes.ts';

export interface PodContainer {
  readonly pod: PodTemplate;
  readonly objects: PlayObjects;
  readonly container: Dict;
  readonly role: 'init' | 'app';
  /** Id of the container that holds the pod's namespaces. */
  readonly infra: string;
  readonly mounts: ContainerMounts;
  readonly warn: (message: string) => void;
}

/** What the engine is asked for, for a container of a pod. Throws `invalid-argument`, `not-found`. */
export function containerRequest(request: PodContainer): ContainerCreateRequest {
  const { pod, objects, container, role, mounts, warn } = request;
  const env = environment(objects, pod, container);
  const words = (key: string): string[] | undefined =>
    container[key] === undefined ? undefined : asTexts(container[key]).map((word) => expand(word, env));
  const command = words('command');
  const args = words('args');
  const name = textOf(container['name']);
  const user = userOf(pod, container);
  const health = role === 'app' ? healthcheck(container, `${pod.name}: ${name}`, warn) : undefined;
  const grace = asText(pod.spec['terminationGracePeriodSeconds']);
  return {
    Image: textOf(container['image']),
    ...(command && { Entrypoint: command }),
    ...(args && { Cmd: args }),
    Env: [...env].map(([key, value]) => `${key}=${value}`),
    ...(container['workingDir'] !== undefined && { WorkingDir: textOf(container['workingDir']) }),
    ...(user !== undefined && { User: user }),
    Tty: container['tty'] === true,
    OpenStdin: container['stdin'] === true,
    StdinOnce: container['stdinOnce'] === true,
    ...(health && { Healthcheck: health }),
    ...(grace !== undefined && { StopTimeout: Number(grace) }),
    Labels: {
      [KUBE_LABEL.pod]: pod.name,
      [KUBE_LABEL.container]: name,
      [KUBE_LABEL.role]: role,
      ...podLabels(pod),
      // A failed liveness probe ends a container, and the pod's policy says whether it begins anew.
      ...(health && container['livenessProbe'] !== undefined && restartPolicy(pod) !== 'no'
        ? { [ON_UNHEALTHY_LABEL]: 'restart' }
        : {}),
    },
    HostConfig: {
      ...namespaces(request),
      ...resources(asDict(container['resources']), `${pod.name}: ${name}`, warn),
      ...security(pod, container, warn),
      RestartPolicy: { Name: role === 'init' ? 'no' : restartPolicy(pod) },
      ...(mounts.binds.length > 0 && { Binds: mounts.binds }),
      ...(mounts.mounts.length > 0 && { Mounts: mounts.mounts }),
      ...(mounts.secrets.length > 0 && { Secrets: mounts.secrets }),
    },
  };
}

export function podLabels(pod: PodTemplate): Record<string, string> {
  return Object.fromEntries(Object.entries(pod.labels).map(([key, value]) => [key, textOf(value)]));
}

export function restartPolicy(pod: PodTemplate): 'always' | 'on-failure' | 'no' {
  const policy = asText(pod.spec['restartPolicy']) ?? 'Always';
  return policy === 'Never' ? 'no' : policy === 'OnFailure' ? 'on-failure' : 'always';
}

/** All of a pod share its network and its shared memory; processes when it says so. */
function namespaces({ pod, infra }: PodContainer): HostConfig {
  const join = `container:${infra}`;
  return {
    NetworkMode: join,
    IpcMode: pod.spec['hostIPC'] === true ? 'host' : join,
    ...(pod.spec['hostPID'] === true && { PidMode: 'host' }),
    ...(pod.spec['shareProcessNamespace'] === true && { PidMode: join }),
  };
}

function resources(given: Dict, where: string, warn: (message: string) => void): HostConfig {
  const limits = asDict(given['limits']);
  const requests = asDict(given['requests']);
  for (const key of [...Object.keys(limits), ...Object.keys(requests)])
    if (!['cpu', 'memory', 'ephemeral-storage'].includes(key)) warn(`${where}: ${key} is not counted on one machine`);
  const amount = (from: Dict, key: string): number => (from[key] === undefined ? 0 : parseQuantity(textOf(from[key])));
  const memory = Math.floor(amount(limits, 'memory'));
  const reserved = Math.floor(amount(requests, 'memory'));
  const cpu = amount(limits, 'cpu');
  const shares = Math.round(amount(requests, 'cpu') * 1024);
  return {
    ...(memory > 0 && { Memory: memory }),
    ...(reserved > 0 && { MemoryReservation: memory > 0 ? Math.min(reserved, memory) : reserved }),
    ...(cpu > 0 && { NanoCpus: Math.round(cpu * 1e9) }),
    ...(shares > 0 && { CpuShares: Math.max(2, shares) }),
  };
}

/** The container's word counts before the pod's. */
function securityOf(pod: PodTemplate, container: Dict, key: string): ReturnType<typeof asDict>[string] | undefined {
  return asDict(container['securityContext'])[key] ?? asDict(pod.spec['securityContext'])[key];
}

function userOf(pod: PodTemplate, container: Dict): string | undefined {
  const uid = asText(securityOf(pod, container, 'runAsUser'));
  const gid = asText(securityOf(pod, container, 'runAsGroup'));
  if (uid === undefined && securityOf(pod, container, 'runAsNonRoot') === true)
    throw new EngineError(
      'invalid-argument',
      `pod ${pod.name}: runAsNonRoot needs runAsUser as well: which user the image has is not known here`,
    );
  if (uid === '0' && securityOf(pod, container, 'runAsNonRoot') === true)
    throw new EngineError('invalid-argument', `pod ${pod.name}: runAsNonRoot and runAsUser 0 contradict each other`);
  if (uid === undefined && gid === undefined) return undefined;
  return gid === undefined ? uid : `${uid ?? '0'}:${gid}`;
}

function security(pod: PodTemplate, container: Dict, warn: (message: string) => void): HostConfig {
  const own = asDict(container['securityContext']);
  const podwide = asDict(pod.spec['securityContext']);
  const where = `${pod.name}: ${textOf(container['name'])}`;
  const capabilities = asDict(own['capabilities']);
  const options: string[] = [];
  if (own['allowPrivilegeEscalation'] === false) options.push('no-new-privileges');
  const seccomp = asText(asDict(securityOf(pod, container, 'seccompProfile'))['type']);
  if (seccomp === 'Unconfined') options.push('seccomp=unconfined');
  else if (seccomp === 'Localhost') warn(`${where}: seccomp profiles of nodes are not here: the engine’s own is used`);
  const apparmor = asText(asDict(securityOf(pod, container, 'appArmorProfile'))['type']);
  if (apparmor === 'Unconfined') options.push('apparmor=unconfined');
  for (const key of ['seLinuxOptions', 'windowsOptions', 'procMount'])
    if (securityOf(pod, container, key) !== undefined) warn(`${where}: ${key} has no meaning here`);
  const groups = [
    ...asList(podwide['supplementalGroups']),
    ...(podwide['fsGroup'] === undefined ? [] : [podwide['fsGroup']]),
  ];
  if (podwide['fsGroup'] !== undefined)
    warn(`${where}: fsGroup is a group of the processes; volumes keep their owners`);
  return {
    ...(own['privileged'] === true && { Privileged: true }),
    ...(own['readOnlyRootFilesystem'] === true && { ReadonlyRootfs: true }),
    ...(capabilities['add'] !== undefined && { CapAdd: asTexts(capabilities['add']) }),
    ...(capabilities['drop'] !== undefined && { CapDrop: asTexts(capabilities['drop']) }),
    ...(options.length > 0 && { SecurityOpt: options }),
    ...(groups.length > 0 && { GroupAdd: groups.map((group) => textOf(group)) }),
  };
}
