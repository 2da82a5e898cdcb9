import fs from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { loadProject } from '../../compose/model/load.ts';
import { isRemote } from '../../compose/model/paths.ts';
import { asDict, asText } from '../../compose/model/value.ts';
import { checkContext, defaultDockerfile } from '../archive/build-context.ts';
import type { Cli } from '../cli.ts';
import { CommandError } from '../command.ts';

/** A file that names images. */
export interface LockSource {
  readonly file: string;
  readonly images: readonly string[];
}

const COMPOSE_NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];

/** The files below a path, or the path itself, with the images they name; a compose file's Dockerfiles after it. */
export async function lockSources(cli: Cli, path: string, buildArgs: Record<string, string>): Promise<LockSource[]> {
  const stat = fs.statSync(path, { throwIfNoEntry: false });
  if (!stat) throw new CommandError(`${path}: no such file or directory`);
  const files = stat.isDirectory()
    ? [
        ...COMPOSE_NAMES.filter((name) => fs.existsSync(join(path, name))).slice(0, 1),
        defaultDockerfile(path) ?? 'Dockerfile',
      ]
        .map((name) => join(path, name))
        .filter((file) => fs.existsSync(file))
    : [path];
  if (files.length === 0) throw new CommandError(`${path} has neither a Dockerfile nor a compose file`);
  const found = new Map<string, LockSource>();
  for (const file of files) {
    const sources = /\.ya?ml$/.test(file)
      ? await composeSources(cli, file)
      : [await dockerfileSource(cli, file, buildArgs)];
    for (const source of sources) {
      // One Dockerfile may serve several services, with different arguments.
      const key = resolve(source.file);
      const before = found.get(key)?.images ?? [];
      const shown = relative('', key);
      found.set(key, { file: shown.startsWith('..') ? key : shown, images: [...before, ...source.images] });
    }
  }
  return [...found.values()];
}

async function dockerfileSource(cli: Cli, file: string, buildArgs: Record<string, string>): Promise<LockSource> {
  return { file, images: await imagesOfDockerfile(cli, file, buildArgs) };
}

/** Every image that a Dockerfile names, as the engine reads it. */
export async function imagesOfDockerfile(
  cli: Cli,
  file: string,
  buildArgs: Readonly<Record<string, string>>,
): Promise<readonly string[]> {
  const context = checkContext(dirname(file), file);
  const client = await cli.client();
  const { Images } = await client.builder.check({
    query: {
      dockerfile: context.dockerfile || basename(file),
      buildargs: Object.keys(buildArgs).length === 0 ? undefined : JSON.stringify(buildArgs),
    },
    context: context.tar,
  });
  return Images;
}

/** Images of services that are not built, and the Dockerfiles of those that are. */
async function composeSources(cli: Cli, file: string): Promise<LockSource[]> {
  const { model, disabled } = loadProject({
    files: [file],
    envFiles: [],
    profiles: ['*'],
    cwd: process.cwd(),
    env: cli.env,
    warn: () => {},
  });
  const images: string[] = [];
  const built: LockSource[] = [];
  for (const service of [...Object.values(asDict(model['services'])), ...Object.values(disabled)].map(asDict)) {
    const image = asText(service['image']);
    if (service['build'] === undefined) {
      if (image !== undefined) images.push(image);
      continue;
    }
    const build = asDict(service['build']);
    const place = asText(build['context']) ?? dirname(file);
    if (isRemote(place) || build['dockerfile_inline'] !== undefined) continue;
    const args = Object.entries(asDict(build['args'])).flatMap(([name, value]) => {
      const text = typeof value === 'number' || typeof value === 'boolean' ? String(value) : asText(value);
      return text === undefined ? [] : [[name, text] as const];
    });
    const dockerfile = resolve(dirname(file), place, asText(build['dockerfile']) ?? 'Dockerfile');
    built.push(await dockerfileSource(cli, dockerfile, Object.fromEntries(args)));
  }
  return [{ file, images }, ...built];
}
