import { isAbsolute, relative } from 'node:path';
import { asDict, asList, asText, type Dict, isDict, type Value } from '../../../compose/model/value.ts';
import { loadProject } from '../../../compose/model/load.ts';
import type { BakeSource } from '../../../bake/definition.ts';
import type { Value as BakeValue } from '../../../bake/expression.ts';
import type { Cli } from '../../cli.ts';

/** Services of Compose files that are built, as targets, with a group `default` of them all. */
export function composeTargets(cli: Cli, files: readonly string[]): BakeSource {
  const { model } = loadProject({
    files: [...files],
    projectName: undefined,
    projectDirectory: undefined,
    envFiles: [],
    profiles: ['*'],
    cwd: process.cwd(),
    env: cli.env,
    stdin: () => '',
    warn: (message) => cli.warn(message),
    services: [],
  });
  const targets = new Map<string, Map<string, () => BakeValue>>();
  for (const [name, value] of Object.entries(asDict(model['services']))) {
    const service = asDict(value);
    const { build } = service;
    if (!isDict(build)) continue;
    const attributes = targetOf(service, build, asDict(model['secrets']));
    // A dot means a member in bake files.
    const key = name.replaceAll('.', '_');
    targets.set(key, new Map(Object.entries(attributes).map(([attribute, one]) => [attribute, () => one])));
  }
  const names = [...targets.keys()].sort();
  return {
    targets,
    groups: new Map(names.length > 0 ? [['default', new Map([['targets', () => names]])]] : []),
    variables: new Map(),
    globals: new Map(),
    functions: new Map(),
    validations: new Map(),
    warnings: [],
  };
}

function targetOf(service: Dict, build: Dict, secrets: Dict): Record<string, BakeValue> {
  const extension = asDict(build['x-bake']);
  const image = asText(service['image']);
  const texts = (value: Value | undefined): string[] => asList(value).map((item) => asText(item) ?? '');
  const pairs = (value: Value | undefined): BakeValue =>
    Object.fromEntries(
      Object.entries(asDict(value)).flatMap(([key, one]) => (one === null ? [] : [[key, asText(one) ?? '']])),
    );
  const found: Record<string, BakeValue | undefined> = {
    context: relativeTo(asText(build['context'])),
    dockerfile: asText(build['dockerfile']),
    'dockerfile-inline': asText(build['dockerfile_inline']),
    args: pairs(build['args']),
    labels: pairs(build['labels']),
    contexts: pairs(build['additional_contexts']),
    tags: asList(build['tags']).length > 0 || image === undefined ? texts(build['tags']) : [image],
    'cache-from': texts(build['cache_from']),
    'cache-to': texts(build['cache_to']),
    target: asText(build['target']),
    platforms: texts(build['platforms']),
    network: asText(build['network']),
    'no-cache': build['no_cache'] === true ? true : undefined,
    pull: build['pull'] === true ? true : undefined,
    secret: asList(build['secrets']).map((use) => secretOf(asDict(use), secrets)),
    ssh: texts(build['ssh']),
    'shm-size': asText(build['shm_size']),
    ...(extension as Record<string, BakeValue>),
  };
  return Object.fromEntries(
    Object.entries(found).filter((entry): entry is [string, BakeValue] => {
      const [, value] = entry;
      if (value === undefined) return false;
      return typeof value !== 'object' || value === null || Object.keys(value).length > 0;
    }),
  );
}

/** As the file says it, not as Compose makes it. */
function relativeTo(path: string | undefined): string | undefined {
  return path !== undefined && isAbsolute(path) ? relative(process.cwd(), path) || '.' : path;
}

function secretOf(use: Dict, secrets: Dict): string {
  const source = asText(use['source']) ?? '';
  const known = asDict(secrets[source]);
  const id = asText(use['target'])?.replace(/^.*\//, '') ?? source;
  const environment = asText(known['environment']);
  return environment === undefined ? `id=${id},src=${asText(known['file']) ?? source}` : `id=${id},env=${environment}`;
}
