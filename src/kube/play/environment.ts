import { EngineError } from '../../base/errors.ts';
import { asDict, asList, asText, type Dict, textOf } from '../../compose/model/value.ts';
import { parseQuantity } from '../quantity.ts';
import { dataOf, type PlayObjects, type PodTemplate } from './objects.ts';

/** A container's variables. Throws `not-found` for a ConfigMap, Secret or key that is not there and not optional. */
export function environment(objects: PlayObjects, pod: PodTemplate, container: Dict): Map<string, string> {
  const env = new Map<string, string>();
  for (const from of asList(container['envFrom']).map(asDict)) {
    const prefix = asText(from['prefix']) ?? '';
    for (const kind of ['configMapRef', 'secretRef'] as const) {
      if (from[kind] === undefined) continue;
      const data = dataFrom(objects, kind === 'secretRef' ? 'Secret' : 'ConfigMap', asDict(from[kind]), pod);
      for (const [key, value] of data ?? []) env.set(`${prefix}${key}`, value.toString());
    }
  }
  for (const item of asList(container['env']).map(asDict)) {
    const name = textOf(item['name']);
    const value =
      item['valueFrom'] === undefined
        ? expand(asText(item['value']) ?? '', env)
        : valueFrom(objects, pod, container, asDict(item['valueFrom']), `${pod.name}: env ${name}`);
    if (value !== undefined) env.set(name, value);
  }
  return env;
}

/** `$(NAME)` becomes the variable's value, `$$(NAME)` stays `$(NAME)`; a name that is none stays as it is. */
export function expand(text: string, env: ReadonlyMap<string, string>): string {
  return text.replace(/\$\$|\$\(([^()\s]+)\)/g, (whole, name: string | undefined) =>
    whole === '$$' ? '$' : (env.get(name!) ?? whole),
  );
}

/** The data that a reference means; undefined when it is optional and not there. */
export function dataFrom(
  objects: PlayObjects,
  kind: 'ConfigMap' | 'Secret',
  reference: Dict,
  pod: PodTemplate,
): Map<string, Buffer> | undefined {
  const name = textOf(reference['name'] ?? reference['secretName']);
  const found = (kind === 'Secret' ? objects.secrets : objects.configMaps).get(name);
  if (found) return dataOf(found);
  if (reference['optional'] === true) return undefined;
  throw new EngineError(
    'not-found',
    `pod ${pod.name}: there is no ${kind} ${name} in the file: add it, or give its file too`,
  );
}

function valueFrom(
  objects: PlayObjects,
  pod: PodTemplate,
  container: Dict,
  source: Dict,
  where: string,
): string | undefined {
  for (const kind of ['configMapKeyRef', 'secretKeyRef'] as const) {
    if (source[kind] === undefined) continue;
    const reference = asDict(source[kind]);
    const data = dataFrom(objects, kind === 'secretKeyRef' ? 'Secret' : 'ConfigMap', reference, pod);
    const value = data?.get(textOf(reference['key']));
    if (value !== undefined) return value.toString();
    if (reference['optional'] === true) return undefined;
    throw new EngineError('not-found', `${where}: ${textOf(reference['name'])} has no key ${textOf(reference['key'])}`);
  }
  if (source['fieldRef'] !== undefined) return field(pod, textOf(asDict(source['fieldRef'])['fieldPath']), where);
  if (source['resourceFieldRef'] !== undefined)
    return resourceField(container, asDict(source['resourceFieldRef']), where);
  throw new EngineError('invalid-argument', `${where}: ${Object.keys(source).join(', ')} is not known here`);
}

function field(pod: PodTemplate, path: string, where: string): string {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (keyed) return asText(pod[keyed[1] as 'labels' | 'annotations'][keyed[2]!]) ?? '';
  if (path === 'metadata.name') return pod.name;
  if (path === 'metadata.namespace') return 'default';
  throw new EngineError('unimplemented', `${where}: ${path} is not known before the pod runs: leave it out`);
}

function resourceField(container: Dict, reference: Dict, where: string): string {
  const [list, name] = textOf(reference['resource']).split('.') as [string, string?];
  const quantity = asText(asDict(asDict(container['resources'])[list])[name ?? '']);
  if (quantity === undefined || name === undefined)
    throw new EngineError('invalid-argument', `${where}: the container has no ${textOf(reference['resource'])}`);
  const divisor = parseQuantity(asText(reference['divisor']) || '1') || 1;
  return String(Math.ceil(parseQuantity(quantity) / divisor));
}
