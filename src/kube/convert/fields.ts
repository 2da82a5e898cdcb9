import { asDict, type Dict } from '../../compose/model/value.ts';
import type { Service } from '../../compose/project/project.ts';
import { isSet } from './container.ts';
import type { Report } from './report.ts';

/** Fields of a service that have a counterpart, or of which other parts of the conversion tell. */
const CONVERTED = new Set(
  (
    'annotations cap_add cap_drop command configs cpus depends_on deploy dns dns_opt dns_search entrypoint environment expose ' +
    'extra_hosts gpus group_add healthcheck hostname image ipc labels mem_limit mem_reservation network_mode networks pid ' +
    'pids_limit platform ports post_start pre_stop privileged pull_policy read_only restart runtime scale secrets security_opt ' +
    'shm_size stdin_open stop_grace_period sysctls tmpfs tty user userns_mode volumes working_dir'
  ).split(' '),
);

/** Why those that have none have none, where that helps. */
const REASONS: Readonly<Record<string, string>> = {
  build: 'is not part of a manifest: build and push the image, and give it a name that the cluster can pull',
  container_name: 'has no counterpart: pods are named by their workload',
  cgroup_parent: 'is the kubelet’s',
  cpu_shares: 'follow from the CPU request (deploy.resources.reservations.cpus)',
  devices: 'need a device plugin of the cluster, or privileged: true with a bind',
  develop: 'is for one machine: it has no counterpart',
  init: 'has no counterpart: put an init into the image, or set shareProcessNamespace',
  links: 'have no counterpart: services are found by their names',
  logging: 'has no counterpart: the cluster collects what containers print',
  mac_address: 'has no counterpart',
  oom_score_adj: 'follows from the memory request',
  profiles: 'have been applied: only active services were converted',
  provider: 'is no container: it has no counterpart',
  stop_signal: 'has no counterpart: set STOPSIGNAL in the image',
  ulimits: 'have no counterpart: they are the container runtime’s',
  volumes_from: 'has no counterpart: name the volumes',
};

const DEPLOY: ReadonlySet<string> = new Set([
  'mode',
  'replicas',
  'resources',
  'placement',
  'update_config',
  'endpoint_mode',
  'labels',
]);
const DEPLOY_REASONS: Readonly<Record<string, string>> = {
  restart_policy: 'has no counterpart but for jobs: pods of a workload are always restarted',
  rollback_config: 'has no counterpart: kubectl rollout undo takes back an update',
};

/** Reports every field of a service for which the manifests have no place. */
export function reportFields(service: Service, report: Report): void {
  const field = `services.${service.name}`;
  for (const [key, value] of Object.entries(service.model)) {
    if (key.startsWith('x-') || CONVERTED.has(key) || !isSet(value)) continue;
    report.add(`${field}.${key}`, REASONS[key] ?? 'has no counterpart');
  }
  for (const [key, value] of Object.entries(asDict(service.model['deploy'])))
    if (!DEPLOY.has(key) && !key.startsWith('x-') && isSet(value))
      report.add(`${field}.deploy.${key}`, DEPLOY_REASONS[key] ?? 'has no counterpart');
  reportUpdate(asDict(asDict(service.model['deploy'])['update_config']), field, report);
}

function reportUpdate(config: Dict, field: string, report: Report): void {
  for (const key of ['failure_action', 'monitor', 'max_failure_ratio', 'delay'])
    if (isSet(config[key]))
      report.add(
        `${field}.deploy.update_config.${key}`,
        'has no counterpart: a rollout stops when new pods do not get ready',
      );
}
