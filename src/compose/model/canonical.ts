import { asDict, dict, type Dict, isDict, sortedKeys, type Value } from './value.ts';
import { yamlText } from './yaml-text.ts';

/** Keys in the order in which Docker's Compose writes them; what is not named follows by name. */
const words = (text: string): readonly string[] => text.trim().split(/\s+/);

const SERVICE = words(`profiles annotations attach build develop blkio_config cap_add cap_drop cgroup_parent cgroup
  cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpus cpuset cpu_shares command configs
  container_name credential_spec depends_on deploy device_cgroup_rules devices dns dns_opt dns_search dockerfile
  domainname entrypoint provider environment env_file expose extends external_links extra_hosts group_add gpus hostname
  healthcheck image init ipc isolation labels label_file links logging log_driver log_opt mem_limit mem_reservation
  memswap_limit mem_swappiness mac_address models net network_mode networks oom_kill_disable oom_score_adj pid
  pids_limit platform ports privileged pull_policy read_only restart runtime scale secrets security_opt shm_size
  stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user userns_mode uts
  volume_driver volumes volumes_from working_dir pre_start post_start pre_stop`);

/** By the path below `services.NAME`, `*` for any key or item. */
const ORDERS: Readonly<Record<string, readonly string[]>> = {
  build: words(`context dockerfile dockerfile_inline entitlements args provenance sbom ssh labels cache_from cache_to
    no_cache no_cache_filter additional_contexts pull extra_hosts isolation network target secrets shm_size tags ulimits
    platforms privileged`),
  'build.secrets.*': words('source target uid gid mode'),
  'build.ulimits.*': words('single soft hard'),
  'develop.watch.*': words('path action target exec include ignore initial_sync'),
  blkio_config: words('weight weight_device device_read_bps device_read_iops device_write_bps device_write_iops'),
  'blkio_config.*.*': words('path weight rate'),
  'configs.*': words('source target uid gid mode'),
  'secrets.*': words('source target uid gid mode'),
  'depends_on.*': words('condition restart required'),
  deploy: words('mode replicas labels update_config rollback_config resources restart_policy placement endpoint_mode'),
  'deploy.update_config': words('parallelism delay failure_action monitor max_failure_ratio order'),
  'deploy.rollback_config': words('parallelism delay failure_action monitor max_failure_ratio order'),
  'deploy.resources': words('limits reservations'),
  'deploy.resources.*': words('cpus memory pids devices generic_resources'),
  'deploy.resources.reservations.devices.*': words('capabilities driver count device_ids options'),
  'gpus.*': words('capabilities driver count device_ids options'),
  'deploy.restart_policy': words('condition delay max_attempts window'),
  'deploy.placement': words('constraints preferences max_replicas_per_node'),
  'devices.*': words('source target permissions'),
  'env_file.*': words('path required format'),
  provider: words('type options'),
  healthcheck: words('test timeout interval retries start_period start_interval disable'),
  logging: words('driver options'),
  'networks.*': words(
    'aliases driver_opts gw_priority interface_name ipv4_address ipv6_address link_local_ips mac_address priority',
  ),
  'ports.*': words('name mode host_ip target published protocol app_protocol'),
  'ulimits.*': words('single soft hard'),
  'volumes.*': words('type source target read_only consistency bind volume tmpfs image'),
  'volumes.*.bind': words('selinux propagation create_host_path recursive'),
  'volumes.*.volume': words('labels nocopy subpath'),
  'volumes.*.tmpfs': words('size mode'),
  'pre_start.*': words('command image per_replica user privileged working_dir environment'),
  'post_start.*': words('command user privileged working_dir environment'),
  'pre_stop.*': words('command user privileged working_dir environment'),
};
const TOP = words('name services networks volumes secrets configs models');
const TOP_ORDERS: Readonly<Record<string, readonly string[]>> = {
  networks: words('name driver driver_opts ipam external internal attachable labels enable_ipv4 enable_ipv6'),
  volumes: words('name driver driver_opts external labels'),
  secrets: words('name file environment content external labels driver driver_opts template_driver'),
  configs: words('name file environment content external labels driver driver_opts template_driver'),
  models: words('name model context_size runtime_flags'),
};

/** The model with its keys in their order and without what says nothing. */
export function canonicalModel(tree: Dict): Dict {
  const out = dict();
  for (const key of ordered(tree, TOP)) {
    const value = tree[key]!;
    if (key === 'services')
      out[key] = each(value, (service) =>
        canonicalService(dict(Object.entries(service).filter(([name]) => name !== 'label_file'))),
      );
    else if (key in TOP_ORDERS) {
      if (Object.keys(asDict(value)).length > 0) out[key] = each(value, (item) => inOrder(item, TOP_ORDERS[key]!));
    } else out[key] = sortKeys(value);
  }
  return out;
}

export function canonicalService(service: Dict): Dict {
  const out = dict();
  for (const key of ordered(service, SERVICE)) {
    if (key === 'extends') continue;
    const value = service[key]!;
    if ((value === null || isEmpty(value)) && !KEPT_EMPTY.has(key)) continue;
    if (value === false && KEPT_FALSE.has(key) === false && typeof value === 'boolean') continue;
    if ((value === '' || value === 0) && !KEPT_EMPTY.has(key) && key !== 'scale' && key !== 'oom_score_adj') continue;
    out[key] = key.startsWith('x-') ? sortKeys(value) : arrange(value, key);
  }
  return out;
}

const KEPT_EMPTY = new Set(['command', 'entrypoint']);
const KEPT_FALSE = new Set(['attach', 'init']);

/** The text of a canonical model; what is left of dollars after interpolation is escaped, so that it can be read again. */
export function canonicalYaml(tree: Dict): string {
  return escapeDollars(yamlText(tree));
}

export function escapeDollars(text: string): string {
  return text.replaceAll('$', '$$$$');
}

function arrange(value: Value, path: string): Value {
  if (Array.isArray(value)) return value.map((item) => arrange(item, `${path}.*`));
  if (!isDict(value)) return value;
  const order = ORDERS[path] ?? ORDERS[path.replace(/\.[^.]+$/, '.*')] ?? ORDERS[path.replace(/[^.]+\.[^.]+$/, '*.*')];
  const free = order === undefined || !order.some((key) => key in value);
  const out = dict();
  for (const key of free ? sortedKeys(value) : ordered(value, order)) {
    const item = value[key]!;
    if (!free && (item === null || item === '' || (isEmpty(item) && key !== 'volume'))) continue;
    if (!free && item === false && key !== 'required' && key !== 'create_host_path') continue;
    out[key] = arrange(item, `${path}.${free && /^(networks|depends_on|ulimits)$/.test(path) ? '*' : key}`);
  }
  return out;
}

function inOrder(item: Dict, order: readonly string[]): Dict {
  const out = dict();
  for (const key of ordered(item, order)) {
    const value = item[key]!;
    if (value === null || value === '' || isEmpty(value) || (value === false && !key.startsWith('enable_'))) continue;
    out[key] = key === 'ipam' ? ipam(asDict(value)) : sortKeys(value);
  }
  return out;
}

function ipam(value: Dict): Dict {
  return dict(
    ordered(value, ['driver', 'config', 'options']).map((key) => [
      key,
      key === 'config' && Array.isArray(value[key])
        ? value[key].map((item) => inOrder(asDict(item), ['subnet', 'gateway', 'ip_range', 'aux_addresses']))
        : sortKeys(value[key]!),
    ]),
  );
}

function each(value: Value, make: (item: Dict) => Dict): Dict {
  const all = asDict(value);
  return dict(sortedKeys(all).map((key) => [key, make(asDict(all[key]))]));
}

function ordered(value: Dict, order: readonly string[]): string[] {
  const known = order.filter((key) => key in value);
  return [...known, ...sortedKeys(value).filter((key) => !order.includes(key))];
}

/** Go's maps have no order of their own: they are written by name. */
export function sortKeys(value: Value): Value {
  if (Array.isArray(value)) return value.map(sortKeys);
  return isDict(value) ? dict(sortedKeys(value).map((key) => [key, sortKeys(value[key]!)])) : value;
}

function isEmpty(value: Value): boolean {
  return Array.isArray(value) ? value.length === 0 : isDict(value) && Object.keys(value).length === 0;
}
