import { asDict, asText, type Dict, dict, textOf } from '../../compose/model/value.ts';
import type { Project, Service } from '../../compose/project/project.ts';
import { kubeName } from '../names.ts';
import { type ConvertContext, keep, object, selectorOf } from './context.ts';
import { reportFields } from './fields.ts';
import { networkPolicies, services } from './network.ts';
import { podOf } from './pod.ts';
import { type Finding, Report } from './report.ts';

export interface Conversion {
  /** In the order in which they are to be applied. */
  readonly manifests: readonly Dict[];
  /** Every field of the project that has no counterpart, or another meaning. */
  readonly findings: readonly Finding[];
}

const ORDER = ['Secret', 'ConfigMap', 'PersistentVolumeClaim', 'NetworkPolicy', 'Service'];

/** A project as manifests for Kubernetes. Reads the files of configs and secrets. Throws `not-found` for those that are missing. */
export function convertToKubernetes(project: Project): Conversion {
  const report = new Report();
  const context: ConvertContext = { project, report, objects: new Map() };
  const all = [...project.services.values()];
  const onlyBefore = new Set(all.filter((service) => isInit(project, service)).map((service) => service.name));
  const active = all.filter((service) => !onlyBefore.has(service.name));
  for (const service of all) reportFields(service, report);
  for (const service of active) workload(context, service);
  networkPolicies(context, active);
  for (const kind of ['models', 'include'] as const)
    if (project.model[kind] !== undefined) report.add(kind, 'has no counterpart');
  const manifests = [...context.objects.values()].sort((a, b) => rank(a) - rank(b) || (nameOf(a) < nameOf(b) ? -1 : 1));
  return { manifests, findings: report.findings };
}

/** Workloads come last: what they need is there before them. */
function rank(one: Dict): number {
  const known = ORDER.indexOf(textOf(one['kind']));
  return known < 0 ? ORDER.length : known;
}

function nameOf(one: Dict): string {
  return textOf(asDict(one['metadata'])['name']);
}

/** Others wait for its end, and it waits to be no more than that: it is an init container of theirs. */
function isInit(project: Project, service: Service): boolean {
  const waits = [...project.services.values()].flatMap((other) => {
    const how = other.dependencies.get(service.name);
    return how ? [how.condition] : [];
  });
  return waits.length > 0 && waits.every((condition) => condition === 'service_completed_successfully');
}

function workload(context: ConvertContext, service: Service): void {
  const { project, report } = context;
  const field = `services.${service.name}`;
  const deploy = asDict(service.model['deploy']);
  const mode = asText(deploy['mode']) ?? 'replicated';
  const name = kubeName(service.name);
  const labels = Object.keys(asDict(deploy['labels']));
  if (labels.length > 0) report.add(`${field}.deploy.labels`, 'are left out: labels of objects are for selecting');
  if (mode === 'replicated-job' || mode === 'global-job') {
    if (mode === 'global-job')
      report.add(`${field}.deploy.mode`, 'a job on every node has no counterpart: it runs once');
    const { metadata, spec } = podOf(
      context,
      service,
      asText(service.model['restart']) === undefined ? 'Never' : 'OnFailure',
    );
    const job = dict([
      ['completions', service.replicas],
      ['parallelism', service.replicas],
      [
        'template',
        dict([
          ['metadata', metadata],
          ['spec', spec],
        ]),
      ],
    ]);
    keep(context, object('batch/v1', 'Job', name, project, dict([['spec', job]])));
    return;
  }
  const restart = asText(service.model['restart']);
  if (restart === 'no' || restart?.startsWith('on-failure'))
    report.add(
      `${field}.restart`,
      `${restart} has no counterpart: pods of a workload are always restarted (deploy.mode: replicated-job makes a Job)`,
    );
  const { metadata, spec, mounts } = podOf(context, service);
  const stateful = mounts.keeps && mode !== 'global';
  const serviceName = services(context, service, { headless: false });
  const template = dict([
    ['metadata', metadata],
    ['spec', spec],
  ]);
  const selector = dict([['matchLabels', selectorOf(project, service)]]);
  if (mode === 'global') {
    if (mounts.claims.length > 0)
      report.add(`${field}.volumes`, 'anonymous volumes of a service on every node have no counterpart');
    const made = dict([
      ['selector', selector],
      ['template', template],
    ]);
    keep(context, object('apps/v1', 'DaemonSet', name, project, dict([['spec', made]])));
    return;
  }
  const made = dict([
    ['replicas', service.replicas],
    ['selector', selector],
    ['serviceName', stateful ? serviceName : undefined],
    ['template', template],
    ['volumeClaimTemplates', stateful && mounts.claims.length > 0 ? [...mounts.claims] : undefined],
    ['strategy', stateful ? undefined : strategy(asDict(deploy['update_config']))],
  ]);
  keep(context, object('apps/v1', stateful ? 'StatefulSet' : 'Deployment', name, project, dict([['spec', made]])));
}

function strategy(config: Dict): Dict | undefined {
  if (Object.keys(config).length === 0) return undefined;
  const parallelism = Number(config['parallelism'] ?? 1);
  const startFirst = config['order'] === 'start-first';
  const step = parallelism === 0 ? '100%' : parallelism;
  return dict([
    ['type', 'RollingUpdate'],
    [
      'rollingUpdate',
      dict([
        ['maxSurge', startFirst ? step : 0],
        ['maxUnavailable', startFirst ? 0 : step],
      ]),
    ],
  ]);
}
