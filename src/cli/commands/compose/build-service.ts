import { Readable } from 'node:stream';
import { Gate } from '../../../base/gate.ts';
import { isRemote } from '../../../compose/model/paths.ts';
import { asDict, asText } from '../../../compose/model/value.ts';
import { type Project, selectServices, type Service } from '../../../compose/project/project.ts';
import type { Cli } from '../../cli.ts';
import { CommandError } from '../../command.ts';
import { describeError } from '../../describe-error.ts';
import type { Io, Output } from '../../io.ts';
import { LinePrefix } from '../../output/line-prefix.ts';
import { parseLine } from '../../parse.ts';
import { type BuildOptions, linkedServices, serviceBuildLine } from './build-line.ts';
import type { Compose } from './context.ts';

export type { BuildOptions } from './build-line.ts';

/**
 * Builds the images of services, and of those that they are built from, side by side where none needs the other: by the
 * command `build`, so that a service's build can be all that one on the command line can. Gives the services that were
 * built. Throws for what the engine cannot do.
 */
export async function buildServices(
  compose: Compose,
  project: Project,
  services: Iterable<Service>,
  options: BuildOptions,
): Promise<Service[]> {
  const order = buildOrder(project, services);
  const addresses = new Map<string, string>();
  const tasks = new Map<string, Promise<void>>();
  const limit = compose.flags.parallel > 0 ? compose.flags.parallel : order.length;
  const waiting = new Gate(limit);
  for (const service of order) {
    const needs = [...linkedServices(service).values()].map((name) => tasks.get(name)!);
    const work = Promise.all(needs).then(() =>
      waiting.run(async () => {
        const image = await buildService(compose, project, service, {
          ...options,
          addresses,
          alone: order.length === 1,
        });
        addresses.set(service.name, `docker-image://${image}`);
      }),
    );
    tasks.set(service.name, work);
  }
  await Promise.all(tasks.values());
  return order;
}

/** Looks for mistakes in a service's Dockerfile; gives the exit code. */
export async function checkService(compose: Compose, project: Project, service: Service): Promise<number> {
  const model = asDict(service.model['build']);
  if (isRemote(asText(model['context']) ?? '') || model['dockerfile_inline'] !== undefined)
    throw new CommandError(`services.${service.name}.build: only a Dockerfile in a directory can be checked`);
  const { words } = serviceBuildLine(project, service, { addresses: new Map(), locked: false });
  // What it is built with does not matter: the files and the values of its ARGs do.
  const kept = words.filter((word) => /^--(file|build-arg|platform|target)=/.test(word) || !word.startsWith('--'));
  return runBuild(compose.cli, ['--check', ...kept]);
}

/** Services in an order in which each comes after those that it is built from. Throws `CommandError` for circles and for what builds nothing. */
export function buildOrder(project: Project, services: Iterable<Service>): Service[] {
  const found = new Map<string, Service>();
  const visit = (service: Service, path: readonly string[]): void => {
    if (path.includes(service.name))
      throw new CommandError(
        `the builds of services need each other: ${[...path.slice(path.indexOf(service.name)), service.name].join(' → ')}`,
      );
    if (found.has(service.name)) return;
    for (const [context, name] of linkedServices(service)) {
      const [other] = selectServices(project, [name], true).values();
      if (!other?.builds)
        throw new CommandError(
          `service ${JSON.stringify(service.name)} declares non-buildable service ${JSON.stringify(name)} as additional contexts ${context}`,
        );
      visit(other, [...path, service.name]);
    }
    found.set(service.name, service);
  };
  for (const service of services) visit(service, []);
  return [...found.values()];
}

/** Gives what other builds can take the image by. */
async function buildService(
  compose: Compose,
  project: Project,
  service: Service,
  options: BuildOptions & { readonly addresses: ReadonlyMap<string, string>; readonly alone: boolean },
): Promise<string> {
  const line = serviceBuildLine(project, service, { ...options, locked: compose.flags.locked });
  for (const warning of line.warnings) compose.warn(warning);
  compose.onProgress({ kind: 'Image', name: service.image, status: 'Building' });
  const { stderr } = compose.cli.io;
  const prefix = options.alone ? undefined : new LinePrefix(stderr, `[${service.name}] `);
  const isQuiet = options.quiet === true || compose.flags.progress === 'quiet';
  const screen: Output = isQuiet ? SILENT : (prefix ?? stderr);
  const io: Io = {
    ...compose.cli.io,
    stdout: screen,
    stderr: prefix ?? stderr,
    stdinIsTTY: false,
    stdin: () => Readable.from([Buffer.from(line.dockerfile ?? '')]) as unknown as NodeJS.ReadStream,
  };
  const cli = compose.cli.inside({ io, env: { ...compose.cli.env, ...line.env }, client: () => compose.client() });
  // Rows that are redrawn are Compose's own: two of them would draw over each other.
  const progress = `--progress=${compose.flags.progress === 'json' ? 'rawjson' : 'plain'}`;
  try {
    const code = await runBuild(cli, [progress, ...line.words]);
    if (code !== 0) throw new CommandError('the build failed', code);
  } catch (error) {
    throw new CommandError(`failed to build ${service.name}: ${describeError(error)}`, 1, { cause: error });
  } finally {
    prefix?.end();
  }
  compose.onProgress({ kind: 'Image', name: service.image, status: 'Built' });
  const client = await compose.client();
  return (await client.images.inspect(service.image)).Id;
}

/** Runs the command, whose code much else needs not. */
async function runBuild(cli: Cli, words: readonly string[]): Promise<number> {
  const { build } = await import('../builder/build.ts');
  const parsed = parseLine(build.flags, words, { interspersed: true, shortHelp: false });
  return build.run(cli, { path: 'gantry compose build', flags: parsed.values, given: parsed.given, args: parsed.args });
}

const SILENT: Output = { isTTY: false, columns: 80, rows: 24, write: () => {} };
