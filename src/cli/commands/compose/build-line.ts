import { join, resolve } from 'node:path';
import { EngineError } from '../../../base/errors.ts';
import { isRemote } from '../../../compose/model/paths.ts';
import {
  asDict,
  asList,
  asText,
  asTexts,
  type Dict,
  isDict,
  textOf,
  type Value,
} from '../../../compose/model/value.ts';
import { LABEL } from '../../../compose/project/labels.ts';
import { type Project, resource, type Service } from '../../../compose/project/project.ts';
import { contentOf, hasOwner } from '../../../compose/project/secrets.ts';

export interface BuildOptions {
  readonly noCache?: boolean;
  readonly pull?: boolean;
  readonly args?: ReadonlyMap<string, string>;
  readonly quiet?: boolean;
  readonly memory?: number;
  readonly ssh?: readonly string[];
  /** `true`, `false`, or attributes: over what the files say. */
  readonly provenance?: string;
  readonly sbom?: string;
  /** The image is to run here: of several platforms, only this engine's is built. */
  readonly toRun?: boolean;
}

/** A build of a service in the words of `build`. */
export interface ServiceBuildLine {
  readonly words: readonly string[];
  /** The Dockerfile, where the Compose file holds it: `--file=-` among the words reads it. */
  readonly dockerfile: string | undefined;
  /** Variables that the words name, with the values of secrets: not what the words themselves could show. */
  readonly env: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
}

/** What a service's image is built from that other services build: the names of its contexts, and the services. */
export function linkedServices(service: Service): Map<string, string> {
  const contexts = asDict(asDict(service.model['build'])['additional_contexts']);
  return new Map(
    Object.entries(contexts).flatMap(([name, value]) => {
      const other = /^service:(.+)$/.exec(asText(value) ?? '')?.[1];
      return other === undefined ? [] : [[name, other]];
    }),
  );
}

/** `addresses` are those of the images of the services that this one is built from, by the services' names. Throws `invalid-argument`, `not-found`. */
export function serviceBuildLine(
  project: Project,
  service: Service,
  options: BuildOptions & { readonly addresses: ReadonlyMap<string, string>; readonly locked: boolean },
): ServiceBuildLine {
  const build = asDict(service.model['build']);
  const words: string[] = [];
  const add = (flag: string, value: string | undefined): void => {
    if (value !== undefined && value !== '') words.push(`--${flag}=${value}`);
  };
  const each = (flag: string, values: readonly string[]): void => values.forEach((value) => add(flag, value));
  const place = asText(build['context']) ?? project.directory;
  const inline = asText(build['dockerfile_inline']);
  const secrets = secretsOf(project, service);
  add('file', inline === undefined ? dockerfileOf(place, asText(build['dockerfile'])) : '-');
  each('tag', [service.image, ...texts(build['tags'])]);
  const args = { ...pairs(build['args']), ...Object.fromEntries(options.args ?? []) };
  each('build-arg', joined(args));
  each('build-context', contextsOf(service, options.addresses));
  const own = { [LABEL.project]: project.name, [LABEL.service]: service.name };
  each('label', joined({ ...pairs(build['labels']), ...own }));
  each('cache-from', texts(build['cache_from']));
  each('cache-to', texts(build['cache_to']));
  each('no-cache-filter', texts(build['no_cache_filter']));
  each('allow', [...texts(build['entitlements']), ...(truth(build['privileged']) ? ['security.insecure'] : [])]);
  each('secret', secrets.words);
  each('ssh', [...texts(build['ssh']).map((text) => sshOf(project, text)), ...(options.ssh ?? [])]);
  each(
    'add-host',
    texts(build['extra_hosts']).map((text) => text.replace('=', ':')),
  );
  each('ulimit', ulimitsOf(asDict(build['ulimits'])));
  each('platform', platformOf(service, build, options.toRun === true));
  add('target', asText(build['target']));
  add('network', asText(build['network']));
  add('shm-size', asText(build['shm_size']));
  add('isolation', asText(build['isolation']));
  add('provenance', options.provenance || asText(build['provenance']));
  add('sbom', options.sbom || asText(build['sbom']));
  add('memory', options.memory ? String(options.memory) : undefined);
  for (const [flag, wanted] of Object.entries({
    'no-cache': options.noCache === true || truth(build['no_cache']),
    pull: options.pull === true || truth(build['pull']),
    quiet: options.quiet === true,
    locked: options.locked,
  }))
    if (wanted) words.push(`--${flag}`);
  words.push('--', place);
  return { words, dockerfile: inline, env: secrets.env, warnings: secrets.warnings };
}

/** It is looked for in the context. */
function dockerfileOf(place: string, name: string | undefined): string | undefined {
  if (name === undefined || name === 'Dockerfile') return undefined;
  return isRemote(place) ? name : resolve(place, name);
}

function contextsOf(service: Service, addresses: ReadonlyMap<string, string>): string[] {
  const linked = linkedServices(service);
  const contexts = pairs(asDict(service.model['build'])['additional_contexts']);
  return Object.entries(contexts).map(([name, value]) => {
    const other = linked.get(name);
    return `${name}=${other === undefined ? value : (addresses.get(other) ?? `docker-image://${other}`)}`;
  });
}

/** Values go by the environment: what is on a command line is for all to read. */
function secretsOf(
  project: Project,
  service: Service,
): { words: string[]; env: Record<string, string>; warnings: string[] } {
  const words: string[] = [];
  const env: Record<string, string> = {};
  const warnings: string[] = [];
  for (const use of asList(asDict(service.model['build'])['secrets']).map(asDict)) {
    const name = textOf(use['source']);
    const source = resource(project, 'secrets', name);
    const id = asText(use['target']) ?? name;
    if (hasOwner(use))
      warnings.push(
        `services.${service.name}.build.secrets.${name}: uid, gid and mode are not used: the Dockerfile's RUN --mount says them`,
      );
    const file = asText(source['file']);
    if (source['external'] === true) {
      words.push(fields({ id, source: 'engine', name: asText(source['name']) ?? name }));
    } else if (file !== undefined) {
      words.push(fields({ id, type: 'file', src: file }));
    } else {
      const variable = asText(source['environment']) ?? `COMPOSE_BUILD_SECRET_${words.length}`;
      env[variable] = Buffer.from(contentOf(project, 'secrets', name, source)).toString('utf8');
      words.push(fields({ id, type: 'env', env: variable }));
    }
  }
  return { words, env, warnings };
}

/** `id=a,src=b` with quotes around what holds a comma or a quote. */
function fields(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key}=${value}`)
    .map((field) => (/[",]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field))
    .join(',');
}

function sshOf(project: Project, text: string): string {
  const cut = text.indexOf('=');
  if (cut < 0 || cut === text.length - 1) return text.replace(/=$/, '');
  const home = project.environment.get('HOME') ?? '/';
  const paths = text
    .slice(cut + 1)
    .split(',')
    .map((path) => (/^~(\/|$)/.test(path) ? join(home, path.slice(1)) : resolve(project.directory, path)));
  return `${text.slice(0, cut)}=${paths.join(',')}`;
}

function ulimitsOf(ulimits: Dict): string[] {
  return Object.entries(ulimits).map(([name, limit]) =>
    isDict(limit)
      ? `${name}=${asText(limit['soft']) ?? ''}:${asText(limit['hard']) ?? ''}`
      : `${name}=${asText(limit) ?? ''}`,
  );
}

function platformOf(service: Service, build: Dict, toRun: boolean): string[] {
  const platforms = texts(build['platforms']);
  const own = asText(service.model['platform']);
  if (own !== undefined && platforms.length > 0 && !platforms.includes(own))
    throw new EngineError(
      'invalid-argument',
      `services.${service.name}.build.platforms must include the platform of the service, ${own}`,
    );
  // What runs here is for one machine: the service's own, or this one.
  if (toRun || platforms.length === 0) return own === undefined ? [] : [own];
  return [platforms.join(',')];
}

function texts(value: Value | undefined): string[] {
  return typeof value === 'string' ? [value] : asTexts(value);
}

function truth(value: Value | undefined): boolean {
  return value === true || value === 'true';
}

function pairs(value: Value | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(asDict(value)).map(([key, item]) => [key, asText(item) ?? '']));
}

function joined(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).map(([key, value]) => `${key}=${value}`);
}
