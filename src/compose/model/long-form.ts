import { EngineError, errorMessage } from '../../base/errors.ts';
import { deviceOf, pairsOf, portsOf, volumeOf } from './short-forms.ts';
import { dict, type Dict, isDict, type Value, textOf } from './value.ts';

/** Writes every short form of a file's tree in its long form, so that files can be merged by key. Changes the tree. Throws `invalid-argument`. */
export function expandShortForms(tree: Dict, options: { readonly asWritten?: boolean } = {}): void {
  for (const name of Object.keys(dictOf(tree, 'services'))) {
    const services = tree['services'] as Dict;
    if (services[name] === null) services[name] = dict();
    if (options.asWritten === true) expandKeyed(services[name] as Dict);
    else expandService(services[name] as Dict);
  }
  for (const kind of ['networks', 'volumes', 'secrets', 'configs']) {
    const all = dictOf(tree, kind);
    for (const [name, given] of Object.entries(all)) {
      if (!isDict(given)) continue;
      apply(given, 'labels', (value) => pairsOf(value, ''));
      const external = given['external'];
      if (isDict(external)) {
        if (external['name'] !== undefined && external['name'] !== null) given['name'] = external['name'];
        given['external'] = true;
      }
      all[name] = given;
    }
  }
  apply(tree, 'include', (value) =>
    (value as Value[]).map((item) => (isDict(item) ? expandInclude(item) : dict([['path', [item]]]))),
  );
}

function expandInclude(item: Dict): Dict {
  apply(item, 'path', list);
  apply(item, 'env_file', list);
  return item;
}

/** Of a file that is not interpolated: only what is merged by key; texts with variables in them cannot be taken apart. */
function expandKeyed(service: Dict): void {
  for (const key of ['networks', 'models'])
    apply(service, key, (value) => (Array.isArray(value) ? dict(value.map((name) => [textOf(name), null])) : value));
  apply(service, 'volumes', (value) =>
    (value as Value[]).map((item) => (isDict(item) || /\$\{[^}]*:/.test(textOf(item)) ? item : volumeOf(textOf(item)))),
  );
  apply(service, 'extends', (value) => (isDict(value) ? value : dict([['service', value]])));
  apply(service, 'build', (value) => (isDict(value) ? value : dict([['context', value]])));
}

export function expandService(service: Dict): void {
  for (const key of ['environment']) apply(service, key, (value) => pairsOf(value, null));
  for (const key of ['labels', 'annotations', 'sysctls', 'storage_opt'])
    apply(service, key, (value) => pairsOf(value, ''));
  for (const key of ['dns', 'dns_search', 'dns_opt', 'tmpfs', 'label_file']) apply(service, key, list);
  apply(service, 'extra_hosts', extraHosts);
  apply(service, 'env_file', (value) => list(value).map((item) => (isDict(item) ? item : dict([['path', item]]))));
  apply(service, 'depends_on', (value) =>
    Array.isArray(value)
      ? dict(
          value.map((name) => [
            textOf(name),
            dict([
              ['condition', 'service_started'],
              ['required', true],
            ]),
          ]),
        )
      : value,
  );
  for (const key of ['networks', 'models'])
    apply(service, key, (value) => (Array.isArray(value) ? dict(value.map((name) => [textOf(name), null])) : value));
  apply(service, 'ports', (value) =>
    (value as Value[]).flatMap((item) => (isDict(item) ? [item] : portsOf(textOf(item)))),
  );
  apply(service, 'volumes', (value) =>
    (value as Value[]).map((item) => (isDict(item) ? item : volumeOf(textOf(item)))),
  );
  apply(service, 'devices', (value) =>
    (value as Value[]).map((item) => (isDict(item) ? item : deviceOf(textOf(item)))),
  );
  for (const key of ['secrets', 'configs']) apply(service, key, sources);
  apply(service, 'extends', (value) => (isDict(value) ? value : dict([['service', value]])));
  apply(service, 'gpus', (value) => (value === 'all' ? [dict([['count', -1]])] : value));
  apply(service, 'build', (value) => (isDict(value) ? value : dict([['context', value]])));
  const build = service['build'];
  if (isDict(build)) {
    apply(build, 'args', (value) => pairsOf(value, null));
    apply(build, 'labels', (value) => pairsOf(value, ''));
    apply(build, 'additional_contexts', (value) => pairsOf(value, ''));
    apply(build, 'extra_hosts', extraHosts);
    apply(build, 'secrets', sources);
    apply(build, 'ssh', (value) => {
      if (Array.isArray(value)) return value;
      if (!isDict(value)) return [value];
      return Object.entries(value).map(([id, path]) => (path === null ? id : `${id}=${textOf(path)}`));
    });
  }
  const deploy = service['deploy'];
  if (isDict(deploy)) apply(deploy, 'labels', (value) => pairsOf(value, ''));
  const develop = service['develop'];
  if (isDict(develop) && Array.isArray(develop['watch']))
    for (const rule of develop['watch'])
      if (isDict(rule)) for (const key of ['ignore', 'include']) apply(rule, key, list);
  for (const hook of ['post_start', 'pre_stop', 'pre_start']) {
    const hooks = service[hook];
    if (Array.isArray(hooks))
      for (const item of hooks) if (isDict(item)) apply(item, 'environment', (value) => pairsOf(value, null));
  }
}

/** A short form that is none: where it stands. */
export class FormError extends EngineError {
  readonly container: Dict;
  readonly key: string;

  constructor(container: Dict, key: string, cause: unknown) {
    super('invalid-argument', errorMessage(cause), { cause });
    this.container = container;
    this.key = key;
  }
}

function apply(target: Dict, key: string, change: (value: Value) => Value): void {
  const value = target[key];
  if (value === undefined || value === null) return;
  try {
    target[key] = change(value);
  } catch (error) {
    throw new FormError(target, key, error);
  }
}

function dictOf(tree: Dict, key: string): Dict {
  const value = tree[key];
  return isDict(value) ? value : dict();
}

function list(value: Value): Value[] {
  return Array.isArray(value) ? value : [value];
}

function sources(value: Value): Value {
  return (value as Value[]).map((item) => (isDict(item) ? item : dict([['source', item]])));
}

/** `host=address` each; lists may also write `host:address`. */
function extraHosts(value: Value): Value {
  if (isDict(value))
    return Object.entries(value).flatMap(([host, addresses]) =>
      list(addresses).map((address) => `${host}=${textOf(address)}`),
    );
  return (value as Value[]).map((item) => {
    const text = textOf(item);
    const cut = /[=:]/.exec(text)?.index ?? -1;
    return cut < 0 ? text : `${text.slice(0, cut)}=${text.slice(cut + 1).replace(/^\[(.*)\]$/, '$1')}`;
  });
}
