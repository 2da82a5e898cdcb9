import { parseDuration } from '../../compose/model/units.ts';
import { asDict, asList, asText, asTexts, type Dict, dict, textOf, type Value } from '../../compose/model/value.ts';
import type { Service } from '../../compose/project/project.ts';
import { isDnsLabel, kubeName } from '../names.ts';
import { containerOf, containerPorts, isSet } from './container.ts';
import { type ConvertContext, selectorOf } from './context.ts';
import { type PodMounts, podMounts } from './mounts.ts';

/** The image of the containers that wait for others. */
const WAIT_IMAGE = 'busybox:1';

export interface Pod {
  readonly metadata: Dict;
  readonly spec: Dict;
  readonly mounts: PodMounts;
}

/** The pod of a service. `restartPolicy` is Always unless it is a job's. */
export function podOf(context: ConvertContext, service: Service, restartPolicy?: 'Never' | 'OnFailure'): Pod {
  const { report, project } = context;
  const { model } = service;
  const field = `services.${service.name}`;
  const mounts = podMounts(context, service);
  const container = containerOf(service, report);
  if (mounts.mounts.length > 0) container['volumeMounts'] = mounts.mounts;
  const grace = asText(model['stop_grace_period']);
  const init = initContainers(context, service, mounts);
  const spec = dict([
    ['initContainers', init.containers.length > 0 ? init.containers : undefined],
    ['containers', [container]],
    [
      'volumes',
      [...mounts.volumes, ...init.volumes].length > 0 ? unique([...mounts.volumes, ...init.volumes]) : undefined,
    ],
    ['restartPolicy', restartPolicy],
    ['terminationGracePeriodSeconds', grace === undefined ? undefined : Math.ceil(parseDuration(grace) / 1e9)],
    ['securityContext', podSecurity(model, field, context)],
    ['hostname', hostname(model, field, context)],
    ['hostAliases', hostAliases(model, field, context)],
    ...dns(model),
    ...namespaces(model, field, context),
    ['nodeSelector', nodeSelector(model, field, context)],
    ['runtimeClassName', runtimeClass(model, field, context)],
    ['automountServiceAccountToken', false],
    ['enableServiceLinks', false],
  ]);
  const annotations = Object.entries(asDict(model['labels'])).map(([key, value]): [string, string] => [
    annotationKey(key),
    asText(value) ?? '',
  ]);
  const networks = Object.keys(asDict(model['networks'])).map((key): [string, string] => [networkLabel(key), 'true']);
  return {
    mounts,
    spec,
    metadata: dict([
      ['labels', dict([...Object.entries(selectorOf(project, service)), ...networks])],
      ['annotations', annotations.length > 0 ? dict(annotations) : undefined],
    ]),
  };
}

/** On a pod: that it is in a network of the file. */
export function networkLabel(key: string): string {
  return `compose.network/${kubeName(key)}`;
}

function annotationKey(key: string): string {
  const name = key.replace(/[^-A-Za-z0-9_.]/g, '_').replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '');
  return name.slice(0, 63) || 'label';
}

function unique(volumes: readonly Dict[]): Dict[] {
  return [...new Map(volumes.map((volume) => [textOf(volume['name']), volume])).values()];
}

/**
 * What must have ended, or be ready, before the service starts: a service that runs to its end is an init container; one
 * with ports is waited for by its Service, which leads only to pods that are ready.
 */
function initContainers(
  context: ConvertContext,
  service: Service,
  own: PodMounts,
): { containers: Dict[]; volumes: Dict[] } {
  const { project, report } = context;
  const containers: Dict[] = [];
  const volumes: Dict[] = [];
  for (const [name, how] of service.dependencies) {
    const field = `services.${service.name}.depends_on.${name}`;
    const other = project.services.get(name);
    if (!other) continue;
    if (how.condition === 'service_completed_successfully') {
      const container = containerOf(other, report);
      const mounts = podMounts(context, other);
      for (const key of ['livenessProbe', 'readinessProbe', 'startupProbe', 'lifecycle']) delete container[key];
      if (mounts.mounts.length > 0) container['volumeMounts'] = mounts.mounts;
      containers.push(container);
      volumes.push(...mounts.volumes.filter((volume) => !own.volumes.includes(volume)));
      report.add(field, `${name} runs to its end in each pod of ${service.name}, as an init container`);
      continue;
    }
    const port = containerPorts(other.model).find(({ protocol }) => protocol === 'TCP');
    if (port === undefined || asText(other.model['network_mode']) !== undefined) {
      report.add(field, `Kubernetes starts everything at once, and ${name} has no port to wait for`);
      continue;
    }
    if (how.restart) report.add(`${field}.restart`, 'has no counterpart');
    containers.push(
      dict([
        ['name', kubeName('wait-for', name)],
        ['image', WAIT_IMAGE],
        ['command', ['sh', '-c', `until nc -w 2 ${kubeName(name)} ${port.port} -e true; do sleep 1; done`]],
      ]),
    );
  }
  return { containers, volumes };
}

function podSecurity(model: Dict, field: string, { report }: ConvertContext): Dict | undefined {
  const groups: number[] = [];
  for (const group of asTexts(model['group_add'])) {
    if (/^\d+$/.test(group)) groups.push(Number(group));
    else report.add(`${field}.group_add`, `the name ${group} has no counterpart: give the number`);
  }
  const sysctls = Object.entries(asDict(model['sysctls'])).map(([name, value]) =>
    dict([
      ['name', name],
      ['value', asText(value) ?? ''],
    ]),
  );
  const made = dict([
    ['supplementalGroups', groups.length > 0 ? groups : undefined],
    ['sysctls', sysctls.length > 0 ? sysctls : undefined],
  ]);
  return Object.keys(made).length > 0 ? made : undefined;
}

function hostname(model: Dict, field: string, { report }: ConvertContext): string | undefined {
  const given = asText(model['hostname']);
  if (given === undefined || isDnsLabel(given)) return given;
  report.add(`${field}.hostname`, `${given} is no name for a pod: it is left out`);
  return undefined;
}

function hostAliases(model: Dict, field: string, { report }: ConvertContext): Dict[] | undefined {
  const names = new Map<string, string[]>();
  for (const item of asTexts(model['extra_hosts'])) {
    const [host = '', address = ''] = item.split(/[=:](.*)/s);
    if (!/^[0-9a-fA-F.:[\]]+$/.test(address)) report.add(`${field}.extra_hosts`, `${item} has no counterpart`);
    else names.set(address, [...(names.get(address) ?? []), host]);
  }
  const aliases = [...names].map(([ip, hostnames]) =>
    dict([
      ['ip', ip.replace(/^\[|\]$/g, '')],
      ['hostnames', hostnames],
    ]),
  );
  return aliases.length > 0 ? aliases : undefined;
}

function dns(model: Dict): [string, Value | undefined][] {
  const servers = asTexts(model['dns']);
  const config = dict([
    ['nameservers', servers.length > 0 ? servers : undefined],
    ['searches', isSet(model['dns_search']) ? asTexts(model['dns_search']) : undefined],
    [
      'options',
      isSet(model['dns_opt'])
        ? asTexts(model['dns_opt']).map((option) => {
            const [name, value] = option.split(/:(.*)/s);
            return dict([
              ['name', name],
              ['value', value],
            ]);
          })
        : undefined,
    ],
  ]);
  if (Object.keys(config).length === 0) return [];
  return [
    // names of other services must still be found: the cluster's server stays the first
    ['dnsPolicy', 'ClusterFirst'],
    ['dnsConfig', config],
  ];
}

function namespaces(model: Dict, field: string, { report }: ConvertContext): [string, Value][] {
  const made: [string, Value][] = [];
  for (const [key, name] of [
    ['network_mode', 'hostNetwork'],
    ['pid', 'hostPID'],
    ['ipc', 'hostIPC'],
  ] as const) {
    const mode = asText(model[key]);
    if (mode === undefined || mode === 'private' || mode === 'bridge' || mode === 'none') continue;
    if (mode === 'host') made.push([name, true]);
    else if (!(key === 'ipc' && mode === 'shareable'))
      report.add(`${field}.${key}`, `${mode} has no counterpart: containers that share one belong in one pod`);
  }
  if (asText(model['userns_mode']) === 'host') made.push(['hostUsers', true]);
  return made;
}

function nodeSelector(model: Dict, field: string, { report }: ConvertContext): Dict | undefined {
  const selector = dict();
  const platform = asText(model['platform']);
  if (platform !== undefined) {
    const [os, architecture] = platform.split('/');
    if (architecture === undefined) selector['kubernetes.io/arch'] = os!;
    else Object.assign(selector, { 'kubernetes.io/os': os!, 'kubernetes.io/arch': architecture });
  }
  const placement = asDict(asDict(model['deploy'])['placement']);
  for (const constraint of asTexts(placement['constraints'])) {
    const match = /^node\.(?:labels\.([\w./-]+)|(hostname))\s*==\s*([\w.-]+)$/.exec(constraint);
    if (match) selector[match[1] ?? 'kubernetes.io/hostname'] = match[3]!;
    else report.add(`${field}.deploy.placement.constraints`, `${constraint} has no counterpart`);
  }
  for (const key of ['preferences', 'max_replicas_per_node'])
    if (isSet(placement[key])) report.add(`${field}.deploy.placement.${key}`, 'has no counterpart');
  return Object.keys(selector).length > 0 ? selector : undefined;
}

function runtimeClass(model: Dict, field: string, { report }: ConvertContext): string | undefined {
  const runtime = asText(model['runtime']);
  if (runtime === undefined) return undefined;
  report.add(`${field}.runtime`, `the RuntimeClass ${kubeName(runtime)} must be there`);
  return kubeName(runtime);
}

/** Published ports of a service, each as it is given. */
export function publishedPorts(model: Dict): Dict[] {
  return asList(model['ports'])
    .map(asDict)
    .filter((item) => asText(item['published']) !== undefined && asText(item['published']) !== '');
}

export function isLoopback(port: Dict): boolean {
  return /^(127\.|::1|\[::1\])/.test(asText(port['host_ip']) ?? '');
}
