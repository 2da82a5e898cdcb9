import { join, resolve } from 'node:path';
import { asDict, asList, asText, type Dict, isDict } from '../../../compose/model/value.ts';
import { isRemote } from '../../../compose/model/paths.ts';
import type { Project, Service } from '../../../compose/project/project.ts';
import { DEFAULT_TAG, parseReference } from '../../../oci/reference.ts';
import { directoryContext, textContext } from '../../archive/build-context.ts';
import { CommandError } from '../../command.ts';
import { allCredentials, authHeaderFor } from '../../credentials.ts';
import type { Output } from '../../io.ts';
import { lockPathFor, neededLock, pinnedName, type Pins } from '../../lock/lock-file.ts';
import { imagesOfDockerfile } from '../../lock/sources.ts';
import { showProgress } from '../../output/progress.ts';
import { pullImage } from '../../pull-image.ts';
import { parseLine } from '../../parse.ts';
import type { Compose } from './context.ts';

export interface BuildOptions {
  readonly noCache?: boolean;
  readonly pull?: boolean;
  readonly args?: ReadonlyMap<string, string>;
  readonly quiet?: boolean;
  readonly memory?: number;
}

const SILENT: Output = { isTTY: false, columns: 80, rows: 24, write: () => {} };

export async function pullService(compose: Compose, service: Service, quiet: boolean): Promise<void> {
  compose.onProgress({ kind: 'Image', name: service.image, status: 'Pulling' });
  await pullImage(compose.cli, service.image, {
    client: await compose.client(),
    platform: asText(service.model['platform']),
    output: quiet ? undefined : transferOutput(compose, service.image),
  });
  compose.onProgress({ kind: 'Image', name: service.image, status: 'Pulled' });
}

export async function pushService(compose: Compose, service: Service, quiet: boolean): Promise<void> {
  const reference = parseReference(service.image);
  const client = await compose.client();
  compose.onProgress({ kind: 'Image', name: service.image, status: 'Pushing' });
  await showProgress(
    quiet ? SILENT : transferOutput(compose, service.image),
    client.images.push(reference.repository, {
      tag: reference.tag ?? DEFAULT_TAG,
      auth: await authHeaderFor(compose.cli, service.image),
    }),
  );
  compose.onProgress({ kind: 'Image', name: service.image, status: 'Pushed' });
}

/** How far a pull or push is: beside the image's row where there are rows, else in lines. */
function transferOutput(compose: Compose, image: string): Output {
  const { rows } = compose;
  if (compose.flags.progress === 'quiet') return SILENT;
  return {
    ...SILENT,
    write: (data) => (rows ? rows.detail('Image', image, String(data).trim()) : compose.cli.io.stderr.write(data)),
  };
}

/** Looks for mistakes in a service's Dockerfile; gives the exit code. */
export async function checkService(compose: Compose, project: Project, service: Service): Promise<number> {
  const model = asDict(service.model['build']);
  const place = asText(model['context']) ?? project.directory;
  if (isRemote(place) || model['dockerfile_inline'] !== undefined)
    throw new CommandError(`services.${service.name}.build: only a Dockerfile in a directory can be checked`);
  const file = asText(model['dockerfile']);
  const { build } = await import('../builder/build.ts');
  const words = [
    '--check',
    ...(file === undefined || file === 'Dockerfile' ? [] : ['--file', join(place, file)]),
    ...Object.entries(texts(model['args'])).map(([name, value]) => `--build-arg=${name}=${value}`),
    place,
  ];
  const parsed = parseLine(build.flags, words, { interspersed: true, shortHelp: false });
  return build.run(compose.cli, {
    path: 'gantry compose build',
    flags: parsed.values,
    given: parsed.given,
    args: parsed.args,
  });
}

const REFUSED = [
  'additional_contexts',
  'entitlements',
  'isolation',
  'privileged',
  'provenance',
  'sbom',
  'secrets',
  'ssh',
];

/** Builds a service's image by the engine's own builder. Throws for build fields that it cannot do. */
export async function buildService(
  compose: Compose,
  project: Project,
  service: Service,
  options: BuildOptions,
): Promise<void> {
  const { cli } = compose;
  const build = asDict(service.model['build']);
  for (const key of REFUSED)
    if (build[key] !== undefined && build[key] !== false && !(Array.isArray(build[key]) && build[key].length === 0))
      throw new CommandError(`services.${service.name}.build.${key} is not supported: remove it to build this service`);
  const platforms = asList(build['platforms']).map(String);
  if (platforms.length > 1)
    throw new CommandError(
      `services.${service.name}.build.platforms: an image for several platforms at once is not supported`,
    );
  const place = asText(build['context']) ?? project.directory;
  const inline = asText(build['dockerfile_inline']);
  const remote = isRemote(place);
  const context = remote
    ? { tar: undefined, dockerfile: asText(build['dockerfile']) ?? '' }
    : inline !== undefined
      ? directoryContextOrText(place, inline)
      : directoryContext(
          place,
          asText(build['dockerfile']) === 'Dockerfile'
            ? ''
            : `${place}/${asText(build['dockerfile']) ?? 'Dockerfile'}`.replace(/^.*\/\//, '/'),
        );
  const args = { ...texts(build['args']), ...Object.fromEntries(options.args ?? []) };
  const credentials = await allCredentials(cli);
  const client = await compose.client();
  compose.onProgress({ kind: 'Image', name: service.image, status: 'Building' });
  const messages = client.builder.build({
    query: {
      t: [service.image, ...asList(build['tags']).map(String)],
      dockerfile: context.dockerfile || undefined,
      remote: remote ? place : undefined,
      buildargs: Object.keys(args).length === 0 ? undefined : JSON.stringify(args),
      labels: JSON.stringify({
        ...texts(build['labels']),
        'com.docker.compose.project': project.name,
        'com.docker.compose.service': service.name,
      }),
      target: asText(build['target']),
      nocache: options.noCache === true || build['no_cache'] === true || undefined,
      pull: options.pull === true || build['pull'] === true || undefined,
      networkmode: asText(build['network']),
      shmsize: asText(build['shm_size']),
      extrahosts:
        asList(build['extra_hosts'])
          .map((item) => String(item as string | number | boolean).replace('=', ':'))
          .join(',') || undefined,
      cacheto: build['cache_to'] === undefined ? undefined : JSON.stringify(asList(build['cache_to'])),
      cachefrom: build['cache_from'] === undefined ? undefined : JSON.stringify(asList(build['cache_from'])),
      ulimits:
        build['ulimits'] === undefined
          ? undefined
          : JSON.stringify(
              Object.entries(asDict(build['ulimits'])).map(([name, limit]) => ({
                Name: name,
                Soft: Number(isDict(limit) ? limit['soft'] : limit),
                Hard: Number(isDict(limit) ? limit['hard'] : limit),
              })),
            ),
      platform: platforms[0] ?? asText(service.model['platform']),
      memory: options.memory || undefined,
      rm: true,
      pins: compose.flags.locked
        ? JSON.stringify(Object.fromEntries(await locksOf(compose, service, { place, build, args })))
        : undefined,
      version: '1',
    },
    context: context.tar,
    registryConfig:
      Object.keys(credentials).length === 0
        ? undefined
        : Buffer.from(JSON.stringify(credentials)).toString('base64url'),
  });
  await showProgress(
    options.quiet === true ? SILENT : { ...SILENT, write: (data) => cli.io.stderr.write(data) },
    messages,
    { errorPrefix: `failed to build ${service.name}: ` },
  );
  compose.onProgress({ kind: 'Image', name: service.image, status: 'Built' });
}

async function locksOf(
  { cli }: Compose,
  { name }: Service,
  { place, build, args }: { place: string; build: Dict; args: Readonly<Record<string, string>> },
): Promise<Pins> {
  if (isRemote(place) || build['dockerfile_inline'] !== undefined)
    throw new CommandError(`services.${name}.build: --locked needs a Dockerfile in a directory`);
  const dockerfile = resolve(place, asText(build['dockerfile']) ?? 'Dockerfile');
  const path = lockPathFor(dockerfile);
  const pins = neededLock(path);
  for (const image of await imagesOfDockerfile(cli, dockerfile, args)) pinnedName(image, pins, path);
  return pins;
}

function directoryContextOrText(place: string, inline: string): { tar: AsyncIterable<Uint8Array>; dockerfile: string } {
  const text = Buffer.from(inline);
  try {
    return directoryContext(place, { text });
  } catch (error) {
    if (!/not found/.test((error as Error).message)) throw error;
    return textContext(text);
  }
}

function texts(value: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries((value ?? {}) as Record<string, unknown>).map(([key, item]) => [
      key,
      item === null ? '' : String(item as string | number | boolean),
    ]),
  );
}
