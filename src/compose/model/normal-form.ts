import { EngineError } from '../../base/errors.ts';
import { parseDotenv, parseRawEnv } from './dotenv.ts';
import type { ProjectInputs } from './inputs.ts';
import type { Lookup } from './interpolate.ts';
import { shellWords } from './shell-words.ts';
import { formatDuration, parseDuration, parseSize } from './units.ts';
import {
  asDict,
  asTexts,
  byText,
  asList,
  asText,
  dict,
  type Dict,
  isDict,
  sortedKeys,
  type Value,
  textOf,
} from './value.ts';

export interface NormalFormOptions {
  readonly projectName: string;
  readonly lookup: Lookup;
  readonly inputs: ProjectInputs;
  /** Read env files and take unset variables from the environment. */
  readonly resolveEnvironment: boolean;
  readonly readEnvFiles: boolean;
  readonly normalize: boolean;
  /** Called for a variable in a file of variables that is not set. */
  readonly onMissing: (name: string) => void;
}

/** Fills in defaults and writes every value in one way: the model as `config` prints it. Changes the tree. Throws `invalid-argument`. */
export function toNormalForm(tree: Dict, options: NormalFormOptions): void {
  tree['name'] = options.projectName;
  const services = asDict(tree['services']);
  for (const name of Object.keys(services)) {
    const service = asDict(services[name]);
    normalizeService(name, service, options);
    services[name] = service;
  }
  tree['services'] = services;
  if (options.normalize) addDefaultNetwork(tree, services);
  for (const kind of ['networks', 'volumes', 'secrets', 'configs']) {
    const all = asDict(tree[kind]);
    for (const key of Object.keys(all)) {
      const item = asDict(all[key]);
      all[key] = item;
      if (options.normalize) item['name'] ??= item['external'] === true ? key : `${options.projectName}_${key}`;
      if (item['external'] === false) delete item['external'];
      texts(item, 'driver_opts');
      texts(item, 'labels');
    }
  }
}

/** Of a tree that is not interpolated: only what needs no value. Changes the tree. */
export function nameResources(tree: Dict, projectName: string, normalize: boolean): void {
  tree['name'] = projectName;
  if (!normalize) return;
  const services = asDict(tree['services']);
  for (const service of Object.values(services) as Dict[]) {
    const build = service['build'];
    if (isDict(build) && build['dockerfile_inline'] === undefined) build['dockerfile'] ??= 'Dockerfile';
    for (const port of asList(service['ports']))
      if (isDict(port)) {
        port['mode'] ??= 'ingress';
        port['protocol'] ??= 'tcp';
      }
  }
  addDefaultNetwork(tree, services);
  for (const kind of ['networks', 'volumes', 'secrets', 'configs']) {
    const all = asDict(tree[kind]);
    for (const key of Object.keys(all)) {
      const item = asDict(all[key]);
      all[key] = item;
      item['name'] ??= item['external'] === true ? key : `${projectName}_${key}`;
    }
  }
}

function addDefaultNetwork(tree: Dict, services: Dict): void {
  const networks = asDict(tree['networks']);
  let used = false;
  for (const service of Object.values(services) as Dict[]) {
    if (service['provider'] !== undefined) continue;
    if (service['network_mode'] === undefined && Object.keys(asDict(service['networks'])).length === 0)
      service['networks'] = dict([['default', null]]);
    used ||= 'default' in asDict(service['networks']);
  }
  if (used) networks['default'] ??= dict();
  if (Object.keys(networks).length > 0) tree['networks'] = networks;
}

const DURATIONS = ['stop_grace_period'];
const SIZES = ['mem_limit', 'mem_reservation', 'memswap_limit', 'shm_size'];

function normalizeService(name: string, service: Dict, options: NormalFormOptions): void {
  const where = `services.${name}`;
  for (const key of ['command', 'entrypoint']) {
    if (typeof service[key] === 'string') service[key] = shellWords(service[key]);
    if (service[key] === null) delete service[key];
  }
  for (const key of DURATIONS) change(service, key, where, (text) => formatDuration(parseDuration(text)));
  for (const key of SIZES) change(service, key, where, (text) => String(parseSize(text)));
  for (const key of ['cpus', 'cpu_count', 'cpu_percent', 'pids_limit', 'scale', 'oom_score_adj', 'cpu_shares'])
    change(service, key, where, numeric);
  for (const key of ['cpu_quota', 'cpu_period', 'cpu_rt_runtime', 'cpu_rt_period'])
    change(service, key, where, (text) => (/[a-zµ]$/.test(text) ? formatDuration(parseDuration(text)) : numeric(text)));
  for (const key of ['mem_swappiness', 'user', 'hostname', 'mac_address', 'container_name', 'image', 'working_dir'])
    change(service, key, where, (text) => text);
  for (const key of ['labels', 'annotations', 'sysctls', 'storage_opt', 'driver_opts']) texts(service, key);
  for (const key of ['expose', 'group_add', 'dns', 'dns_search', 'dns_opt', 'tmpfs'])
    if (Array.isArray(service[key])) service[key] = service[key].map((item) => textOf(item));
  if (Array.isArray(service['extra_hosts'])) service['extra_hosts'] = asTexts(service['extra_hosts']).sort(byText);
  if (service['pull_policy'] === 'if_not_present') service['pull_policy'] = 'missing';
  normalizeHealthcheck(service, where);
  normalizeDependencies(service, options.normalize);
  normalizeBuild(service, where, options);
  normalizePorts(service);
  normalizeMounts(service, where);
  normalizeDeploy(service, where);
  texts(asDict(service['logging']), 'options');
  const limits = asDict(service['ulimits']);
  for (const key of Object.keys(limits)) {
    const limit = limits[key];
    if (isDict(limit)) for (const part of ['soft', 'hard']) change(limit, part, where, numeric);
    else {
      change(limits, key, where, numeric);
      // Docker's Compose knows no single limit of nothing.
      if (limits[key] === 0)
        limits[key] = dict([
          ['soft', 0],
          ['hard', 0],
        ]);
    }
  }
  for (const kind of ['secrets', 'configs'])
    for (const item of asList(service[kind]) as Dict[]) {
      change(item, 'uid', where, (text) => text);
      change(item, 'gid', where, (text) => text);
      if (typeof item['mode'] === 'number') item['mode'] = `0${item['mode'].toString(8)}`;
      if (kind === 'secrets' && options.normalize) item['target'] ??= `/run/secrets/${textOf(item['source'])}`;
    }
  const block = asDict(service['blkio_config']);
  for (const key of ['device_read_bps', 'device_read_iops', 'device_write_bps', 'device_write_iops'])
    for (const item of asList(block[key]) as Dict[]) change(item, 'rate', where, (text) => String(parseSize(text)));
  const devices = [
    ...asList(service['gpus']),
    ...asList(asDict(asDict(asDict(service['deploy'])['resources'])['reservations'])['devices']),
  ];
  for (const device of devices as Dict[])
    change(device, 'count', where, (text) => (text === 'all' ? -1 : numeric(text)));
  for (const hook of ['pre_start', 'post_start', 'pre_stop'])
    for (const item of asList(service[hook]) as Dict[]) {
      commandWords(item);
      environmentTexts(item, options.lookup, options.resolveEnvironment);
    }
  for (const rule of asList(asDict(service['develop'])['watch']) as Dict[]) commandWords(asDict(rule['exec']));
  const provided = asDict(asDict(service['provider'])['options']);
  for (const key of Object.keys(provided))
    provided[key] = (Array.isArray(provided[key]) ? provided[key] : [provided[key]!]).map((item) => textOf(item));
  normalizeEnvironment(service, options);
}

function commandWords(target: Dict): void {
  if (typeof target['command'] === 'string') target['command'] = shellWords(target['command']);
}

function normalizeEnvironment(service: Dict, options: NormalFormOptions): void {
  environmentTexts(service, options.lookup, options.resolveEnvironment);
  const files = asList(service['env_file']) as Dict[];
  for (const file of files) file['required'] ??= true;
  if (!options.resolveEnvironment || !options.readEnvFiles) return readLabelFiles(service, options);
  const own = asDict(service['environment']);
  const found = new Map<string, string>();
  for (const file of files) {
    const path = textOf(file['path']);
    let text: string;
    try {
      text = options.inputs.text(path);
    } catch (error) {
      if (file['required'] === false && (error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw new EngineError('not-found', `env file ${path} not found: ${(error as Error).message}`, { cause: error });
    }
    const lookup = (name: string): string | undefined => found.get(name) ?? options.lookup(name);
    const read =
      file['format'] === 'raw'
        ? parseRawEnv(text, path, lookup)
        : parseDotenv(text, path, lookup, { onMissing: options.onMissing });
    for (const [name, value] of read) found.set(name, value);
  }
  delete service['env_file'];
  const all = dict([...found, ...Object.entries(own)]);
  if (Object.keys(all).length > 0) service['environment'] = all;
  readLabelFiles(service, options);
}

/** Their names stay beside them: Docker's fingerprint of a service counts them. */
function readLabelFiles(service: Dict, options: NormalFormOptions): void {
  const labels = asList(service['label_file']);
  if (labels.length === 0) return;
  const read = dict();
  for (const path of labels)
    for (const [key, value] of parseDotenv(options.inputs.text(textOf(path)), textOf(path), options.lookup, {
      onMissing: options.onMissing,
    }))
      read[key] = value;
  service['labels'] = dict([...Object.entries(read), ...Object.entries(asDict(service['labels']))]);
  if (!options.resolveEnvironment || !options.readEnvFiles) delete service['label_file'];
}

function environmentTexts(target: Dict, lookup: Lookup, resolve: boolean): void {
  const environment = target['environment'];
  if (!isDict(environment)) return;
  for (const key of Object.keys(environment)) {
    const value = environment[key];
    if (value === null || value === undefined) environment[key] = (resolve ? lookup(key) : undefined) ?? null;
    else environment[key] = asText(value) ?? '';
  }
}

function normalizeHealthcheck(service: Dict, where: string): void {
  const check = service['healthcheck'];
  if (!isDict(check)) return;
  if (typeof check['test'] === 'string') check['test'] = ['CMD-SHELL', check['test']];
  const test = asList(check['test']);
  if (test.length > 0 && !['NONE', 'CMD', 'CMD-SHELL'].includes(textOf(test[0])))
    throw new EngineError(
      'invalid-argument',
      `${where}.healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE"`,
    );
  for (const key of ['interval', 'timeout', 'start_period', 'start_interval'])
    change(check, key, `${where}.healthcheck`, (text) => formatDuration(parseDuration(text)));
  change(check, 'retries', where, numeric);
}

function normalizeDependencies(service: Dict, normalize: boolean): void {
  const wanted = asDict(service['depends_on']);
  for (const item of Object.values(wanted) as Dict[]) {
    item['condition'] ??= 'service_started';
    item['required'] ??= true;
    if (item['restart'] === false) delete item['restart'];
  }
  if (normalize) {
    const implied = [
      ...asList(service['links']).map((link) => textOf(link).split(':')[0]!),
      ...['network_mode', 'ipc', 'pid', 'uts', 'cgroup']
        .map((key) => asText(service[key]) ?? '')
        .filter((text) => text.startsWith('service:'))
        .map((text) => text.slice('service:'.length)),
    ];
    const borrowed = asTexts(service['volumes_from'])
      .filter((text) => !text.startsWith('container:'))
      .map((text) => text.split(':')[0]!);
    for (const name of implied)
      wanted[name] ??= dict([
        ['condition', 'service_started'],
        ['restart', true],
        ['required', true],
      ]);
    for (const name of borrowed)
      wanted[name] ??= dict([
        ['condition', 'service_started'],
        ['required', true],
      ]);
  }
  if (Object.keys(wanted).length > 0) service['depends_on'] = wanted;
  else delete service['depends_on'];
}

function normalizeBuild(service: Dict, where: string, options: NormalFormOptions): void {
  const build = service['build'];
  if (!isDict(build)) return;
  build['context'] ??= '.';
  if (options.normalize && build['dockerfile_inline'] === undefined) build['dockerfile'] ??= 'Dockerfile';
  const args = build['args'];
  if (isDict(args))
    for (const key of Object.keys(args)) {
      const value = asText(args[key]) ?? (options.resolveEnvironment ? options.lookup(key) : undefined);
      if (value !== undefined) args[key] = value;
      else if (options.resolveEnvironment) delete args[key];
      else args[key] = null;
    }
  texts(build, 'labels');
  for (const key of ['provenance', 'sbom']) change(build, key, `${where}.build`, (text) => text);
  change(build, 'shm_size', `${where}.build`, (text) => String(parseSize(text)));
  if (Array.isArray(build['extra_hosts'])) build['extra_hosts'] = asTexts(build['extra_hosts']).sort(byText);
}

function normalizePorts(service: Dict): void {
  for (const port of asList(service['ports']) as Dict[]) {
    port['mode'] ??= 'ingress';
    port['protocol'] ??= 'tcp';
    port['target'] = Number(port['target']);
    if (port['published'] !== undefined && port['published'] !== null && port['published'] !== '')
      port['published'] = textOf(port['published']);
    else delete port['published'];
  }
}

function normalizeMounts(service: Dict, where: string): void {
  for (const mount of asList(service['volumes']) as Dict[]) {
    const tmpfs = asDict(mount['tmpfs']);
    change(tmpfs, 'size', where, (text) => String(parseSize(text)));
    change(tmpfs, 'mode', where, numeric);
    const target = asText(mount['target']);
    if (target !== undefined && target.length > 1) mount['target'] = target.replace(/\/+$/, '');
  }
}

function normalizeDeploy(service: Dict, where: string): void {
  const deploy = service['deploy'];
  if (!isDict(deploy)) return;
  texts(deploy, 'labels');
  change(deploy, 'replicas', `${where}.deploy`, numeric);
  const resources = asDict(deploy['resources']);
  for (const part of ['limits', 'reservations']) {
    const limits = asDict(resources[part]);
    change(limits, 'cpus', `${where}.deploy`, numeric);
    change(limits, 'pids', `${where}.deploy`, numeric);
    change(limits, 'memory', `${where}.deploy`, (text) => String(parseSize(text)));
  }
  const policy = asDict(deploy['restart_policy']);
  for (const key of ['delay', 'window']) change(policy, key, where, (text) => formatDuration(parseDuration(text)));
  change(policy, 'max_attempts', where, numeric);
  for (const part of ['update_config', 'rollback_config'])
    for (const key of ['delay', 'monitor'])
      change(asDict(deploy[part]), key, where, (text) => formatDuration(parseDuration(text)));
}

function texts(target: Dict, key: string): void {
  const value = target[key];
  if (!isDict(value)) return;
  for (const name of sortedKeys(value)) value[name] = asText(value[name]) ?? '';
}

function numeric(text: string): number {
  const number = Number(text);
  if (text.trim() === '' || Number.isNaN(number))
    throw new EngineError('invalid-argument', `invalid number ${JSON.stringify(text)}`);
  return number;
}

function change(target: Dict, key: string, where: string, to: (text: string) => Value): void {
  const text = asText(target[key]);
  if (text === undefined) return;
  try {
    target[key] = to(text);
  } catch (error) {
    throw new EngineError('invalid-argument', `${where}.${key}: ${(error as Error).message}`, { cause: error });
  }
}
