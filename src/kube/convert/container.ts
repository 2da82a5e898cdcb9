import {
  asDict,
  asList,
  asText,
  asTexts,
  type Dict,
  dict,
  isDict,
  textOf,
  type Value,
} from '../../compose/model/value.ts';
import type { Service } from '../../compose/project/project.ts';
import { kubeName } from '../names.ts';
import { probes } from './probes.ts';
import type { Report } from './report.ts';

/** A service as the container of a pod, without its mounts. */
export function containerOf(service: Service, report: Report): Dict {
  const { model } = service;
  const field = `services.${service.name}`;
  const list = (key: string): string[] | undefined => (asList(model[key]).length > 0 ? asTexts(model[key]) : undefined);
  return dict([
    ['name', kubeName(service.name)],
    ['image', service.image],
    ['imagePullPolicy', pullPolicy(model, field, report)],
    ['command', list('entrypoint')?.map(literal)],
    ['args', list('command')?.map(literal)],
    ['workingDir', asText(model['working_dir'])],
    ['env', environment(model, field, report)],
    ['ports', ports(model)],
    ['resources', resources(model, field, report)],
    ...Object.entries(probes(asDict(model['healthcheck']), `${field}.healthcheck`, report)),
    ['lifecycle', lifecycle(model, field, report)],
    ['securityContext', security(model, field, report)],
    ['stdin', model['stdin_open'] === true ? true : undefined],
    ['tty', model['tty'] === true ? true : undefined],
  ]);
}

/** Kubernetes replaces `$(NAME)` in words; Compose does not. */
function literal(word: string): string {
  return word.replaceAll('$(', '$$$(');
}

function pullPolicy(model: Dict, field: string, report: Report): string | undefined {
  const policy = asText(model['pull_policy']);
  if (policy === undefined || policy === 'missing' || policy === 'if_not_present') return undefined;
  if (policy === 'always') return 'Always';
  if (policy === 'never') return 'Never';
  report.add(`${field}.pull_policy`, `${policy} has no counterpart`);
  return undefined;
}

function environment(model: Dict, field: string, report: Report): Dict[] | undefined {
  const env: Dict[] = [];
  for (const [name, value] of Object.entries(asDict(model['environment']))) {
    if (value === null) report.add(`${field}.environment.${name}`, 'has no value here: it is left out');
    else
      env.push(
        dict([
          ['name', name],
          ['value', literal(textOf(value))],
        ]),
      );
  }
  return env.length > 0 ? env : undefined;
}

/** All ports that are open inside, published or not. */
export function containerPorts(model: Dict): { readonly port: number; readonly protocol: string }[] {
  const found = new Map<string, { port: number; protocol: string }>();
  for (const item of [
    ...asTexts(model['expose']).flatMap(expandExposed),
    ...asList(model['ports'])
      .map(asDict)
      .map((one) => ({ port: Number(one['target']), protocol: (asText(one['protocol']) ?? 'tcp').toUpperCase() })),
  ])
    found.set(`${item.port}/${item.protocol}`, item);
  return [...found.values()].sort((a, b) => a.port - b.port || (a.protocol < b.protocol ? -1 : 1));
}

function expandExposed(item: string): { port: number; protocol: string }[] {
  const match = /^(\d+)(?:-(\d+))?(?:\/(\w+))?$/.exec(item);
  if (!match) return [];
  const first = Number(match[1]);
  const count = Number(match[2] ?? match[1]) - first + 1;
  return Array.from({ length: Math.max(0, Math.min(count, 65_536)) }, (_, index) => ({
    port: first + index,
    protocol: (match[3] ?? 'tcp').toUpperCase(),
  }));
}

export function portName({ port, protocol }: { readonly port: number; readonly protocol: string }): string {
  return `${protocol.toLowerCase()}-${port}`;
}

function ports(model: Dict): Dict[] | undefined {
  const open = containerPorts(model).map((one) =>
    dict([
      ['name', portName(one)],
      ['containerPort', one.port],
      ['protocol', one.protocol],
    ]),
  );
  return open.length > 0 ? open : undefined;
}

function resources(model: Dict, field: string, report: Report): Dict | undefined {
  const deploy = asDict(asDict(model['deploy'])['resources']);
  const limits = asDict(deploy['limits']);
  const reservations = asDict(deploy['reservations']);
  const gpus = [...asList(model['gpus']), ...asList(reservations['devices'])].map(asDict);
  for (const item of gpus)
    if (Number(item['count'] ?? -1) < 0) report.add(`${field}.gpus`, '"all" has no counterpart: one is asked for');
  if (limits['pids'] !== undefined || model['pids_limit'] !== undefined)
    report.add(`${field}.pids_limit`, 'is set for all pods of a node by the kubelet');
  for (const key of Object.keys(reservations))
    if (!['cpus', 'memory', 'devices'].includes(key))
      report.add(`${field}.deploy.resources.reservations.${key}`, 'has no counterpart');
  const gpu =
    gpus.length > 0 ? String(gpus.reduce((sum, item) => sum + Math.max(1, Number(item['count'] ?? 1)), 0)) : undefined;
  const quantities = (cpus: Value | undefined, bytes: Value | undefined, count?: string): Dict | undefined => {
    const made = dict([
      ['cpu', cpus === undefined || Number(cpus) === 0 ? undefined : `${Math.round(Number(cpus) * 1000)}m`],
      ['memory', bytes === undefined || Number(bytes) === 0 ? undefined : textOf(bytes)],
      ['nvidia.com/gpu', count],
    ]);
    return Object.keys(made).length > 0 ? made : undefined;
  };
  const made = dict([
    ['limits', quantities(model['cpus'] ?? limits['cpus'], model['mem_limit'] ?? limits['memory'], gpu)],
    ['requests', quantities(reservations['cpus'], model['mem_reservation'] ?? reservations['memory'])],
  ]);
  return Object.keys(made).length > 0 ? made : undefined;
}

function lifecycle(model: Dict, field: string, report: Report): Dict | undefined {
  const hook = (key: string): Dict | undefined => {
    const hooks = asList(model[key]).map(asDict);
    if (hooks.length === 0) return undefined;
    if (hooks.length > 1) report.add(`${field}.${key}`, 'there is one hook: the commands after the first are left out');
    for (const other of ['user', 'privileged', 'working_dir', 'environment'])
      if (hooks[0]![other] !== undefined && hooks[0]![other] !== false)
        report.add(`${field}.${key}.${other}`, 'has no counterpart');
    return dict([['exec', dict([['command', asTexts(hooks[0]!['command'])]])]]);
  };
  const made = dict([
    ['postStart', hook('post_start')],
    ['preStop', hook('pre_stop')],
  ]);
  return Object.keys(made).length > 0 ? made : undefined;
}

function security(model: Dict, field: string, report: Report): Dict | undefined {
  const made = dict([
    ...userOf(model, field, report),
    ['privileged', model['privileged'] === true ? true : undefined],
    ['readOnlyRootFilesystem', model['read_only'] === true ? true : undefined],
    ['capabilities', capabilities(model)],
  ]);
  for (const option of asTexts(model['security_opt'])) {
    const [name, value = 'true'] = option.split(/[:=](.*)/s);
    if (name === 'no-new-privileges') made['allowPrivilegeEscalation'] = value !== 'true';
    else if (name === 'seccomp' && value === 'unconfined') made['seccompProfile'] = dict([['type', 'Unconfined']]);
    else if (name === 'apparmor')
      made['appArmorProfile'] =
        value === 'unconfined'
          ? dict([['type', 'Unconfined']])
          : dict([
              ['type', 'Localhost'],
              ['localhostProfile', value],
            ]);
    else if (name === 'label' && /^(user|role|type|level):/.test(value)) {
      const [key, text] = value.split(/:(.*)/s);
      made['seLinuxOptions'] = dict([...Object.entries(asDict(made['seLinuxOptions'])), [key!, text]]);
    } else report.add(`${field}.security_opt`, `${option} has no counterpart`);
  }
  return Object.keys(made).length > 0 ? made : undefined;
}

function userOf(model: Dict, field: string, report: Report): [string, number][] {
  const user = asText(model['user']);
  if (user === undefined) return [];
  const [uid, gid] = user.split(':');
  const ids: [string, number][] = [];
  if (/^\d+$/.test(uid ?? '')) ids.push(['runAsUser', Number(uid)]);
  else report.add(`${field}.user`, `the name ${JSON.stringify(uid)} has no counterpart: give the number`);
  if (gid === undefined) return ids;
  if (/^\d+$/.test(gid)) ids.push(['runAsGroup', Number(gid)]);
  else report.add(`${field}.user`, `the group’s name ${JSON.stringify(gid)} has no counterpart: give the number`);
  return ids;
}

function capabilities(model: Dict): Dict | undefined {
  const names = (key: string): string[] | undefined => {
    const given = asTexts(model[key]).map((name) => name.toUpperCase().replace(/^CAP_/, ''));
    return given.length > 0 ? given : undefined;
  };
  const made = dict([
    ['add', names('cap_add')],
    ['drop', names('cap_drop')],
  ]);
  return Object.keys(made).length > 0 ? made : undefined;
}

export function isSet(value: Value | undefined): boolean {
  if (value === undefined || value === null || value === false || value === '') return false;
  if (Array.isArray(value)) return value.length > 0;
  return !isDict(value) || Object.keys(value).length > 0;
}
