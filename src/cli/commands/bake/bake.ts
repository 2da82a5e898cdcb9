import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evaluate } from '../../../bake/definition.ts';
import { list as listOf, toText } from '../../../bake/expression.ts';
import { type BakePlan, planBake, printPlan, readOverride } from '../../../bake/targets.ts';
import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { bool, each, list, optional, string } from '../../flag.ts';
import { parseBuilder } from '../../options/builder.ts';
import { layOut } from '../../output/table.ts';
import { parseLine } from '../../parse.ts';
import { build } from '../builder/build.ts';
import { buildLine } from './build-line.ts';
import { readBakeFiles } from './files.ts';

export const bake = command({
  usage: '[OPTIONS] [TARGET...]',
  description:
    'Build the targets of a bake file: docker-bake.hcl, docker-bake.json, or the services of a Compose file.',
  examples: `# What would be built
gantry bake --print

# One target, with another tag and a value for its ARG
gantry bake --set app.tags=app:dev --set app.args.MODE=debug app`,
  flags: {
    allow: list('Allow build to access specified resources'),
    builder: each('string', 'The builder: the engine is the only one ("default")', parseBuilder),
    call: string('Set method for evaluating build ("check", "outline", "targets")'),
    check: bool('Shorthand for "--call=check"'),
    file: list('Build definition file', { short: 'f', complete: 'file' }),
    list: string('List targets or variables', { complete: ['targets', 'variables'] }),
    load: bool('Shorthand for "--set=*.output=type=docker"'),
    'metadata-file': string('Write build result metadata to a file', { complete: 'file' }),
    'no-cache': bool('Do not use cache when building the image'),
    print: bool('Print the options without building'),
    progress: string('Set type of progress output ("auto", "plain", "tty", "quiet", "json")', {
      initial: 'auto',
      complete: ['auto', 'plain', 'tty', 'quiet', 'json'],
    }),
    provenance: optional('Shorthand for "--set=*.attest=type=provenance"'),
    pull: bool('Always attempt to pull all referenced images'),
    push: bool('Shorthand for "--set=*.output=type=registry"'),
    sbom: optional('Shorthand for "--set=*.attest=type=sbom"'),
    set: list('Override target value (e.g., "targetpattern.key=value")'),
    var: list('Set a variable value (e.g., "name=value")'),
  },
  args: { min: 0 },
  async run(cli, { flags, args }) {
    const sources = await readBakeFiles(cli, flags.file);
    const given = Object.fromEntries(
      flags.var.map((text) => {
        const cut = text.indexOf('=');
        return cut < 0 ? [text, cli.env[text]] : [text.slice(0, cut), text.slice(cut + 1)];
      }),
    );
    const overrides = flags.set.map(wrapped(readOverride));
    const definition = wrapped(() => evaluate(sources, { ...cli.env, ...given }))();
    if (flags.list !== '') return listDefinition(cli, definition, flags.list);
    const plan = wrapped(() => planBake(definition, args, overrides))();
    const common = [
      ...(flags.load ? ['--load'] : []),
      ...(flags.push ? ['--push'] : []),
      ...(flags.pull ? ['--pull'] : []),
      ...(flags['no-cache'] ? ['--no-cache'] : []),
      ...(flags.provenance === '' ? [] : [`--provenance=${flags.provenance}`]),
      ...(flags.sbom === '' ? [] : [`--sbom=${flags.sbom}`]),
      ...(flags.check ? ['--check'] : flags.call === '' ? [] : [`--call=${flags.call}`]),
      `--progress=${flags.progress}`,
    ];
    if (flags.print) {
      cli.print(printPlan(plan));
      return 0;
    }
    checkEntitlements(plan, flags.allow);
    return buildAll(cli, plan, { common, metadataFile: flags['metadata-file'] });
  },
});

/** What a file asks for by itself has to be granted by who runs it. Throws `CommandError`. */
function checkEntitlements({ targets }: BakePlan, allowed: readonly string[]): void {
  const granted = new Set(allowed.flatMap((text) => text.split(',')));
  for (const { name, attributes } of targets) {
    const wanted = listOf(attributes['entitlements'] ?? []).map(toText);
    const missing = [...new Set(wanted)].filter((one) => !granted.has(one));
    if (missing.length > 0)
      throw new CommandError(
        `additional privileges requested: the target ${name} wants ${missing.join(', ')}: pass ${missing.map((one) => `--allow=${one}`).join(' ')} to grant them`,
      );
  }
}

/** One after the other: the solver works on what is independent inside of each. */
async function buildAll(
  cli: Cli,
  { targets }: BakePlan,
  { common, metadataFile }: { readonly common: readonly string[]; readonly metadataFile: string },
): Promise<number> {
  const directory = fs.mkdtempSync(join(tmpdir(), 'gantry-bake-'));
  const images = new Map<string, string>();
  const metadata: Record<string, unknown> = {};
  const temporary: string[] = [];
  try {
    const needed = new Set(
      targets.flatMap(({ attributes }) =>
        Object.values((attributes['contexts'] ?? {}) as Record<string, string>).flatMap(
          (source) => /^target:(.+)$/.exec(source)?.[1] ?? [],
        ),
      ),
    );
    for (const target of targets) {
      const { name } = target;
      const line = wrapped(() => buildLine(target, { images, directory }))();
      const file = join(directory, `${name}.json`);
      const words = [...common, ...(metadataFile === '' ? [] : [`--metadata-file=${file}`])];
      const idFile = join(directory, `${name}.id`);
      if (needed.has(name)) {
        // A name of its own keeps it for those that are made from it.
        const tag = `gantry-bake/${name.toLowerCase()}:${randomBytes(6).toString('hex')}`;
        words.push(`--tag=${tag}`, '--load', `--iidfile=${idFile}`);
        temporary.push(tag);
      }
      if (targets.length > 1) cli.io.stdout.write(`[${name}]\n`);
      const code = await runBuild(cli, [...words, ...line]);
      if (code !== 0) return code;
      // By its id, so that no --pull asks a registry for it; of several platforms by the name that stands for all.
      if (needed.has(name)) images.set(name, several(target) ? temporary.at(-1)! : fs.readFileSync(idFile, 'utf8'));
      if (fs.existsSync(file)) metadata[name] = JSON.parse(fs.readFileSync(file, 'utf8')) as unknown;
    }
    if (metadataFile !== '') fs.writeFileSync(metadataFile, `${JSON.stringify(metadata, null, 2)}\n`);
    return 0;
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
    if (temporary.length > 0) {
      const client = await cli.client();
      for (const tag of temporary) await client.images.remove(tag, { force: true }).catch(() => undefined);
    }
  }
}

function several({ attributes }: BakePlan['targets'][number]): boolean {
  return listOf(attributes['platforms'] ?? []).length > 1;
}

async function runBuild(cli: Cli, line: readonly string[]): Promise<number> {
  const parsed = parseLine(build.flags, line, { interspersed: true });
  return build.run(cli, {
    path: 'gantry bake',
    flags: parsed.values,
    given: parsed.given,
    args: parsed.args,
  });
}

function listDefinition(cli: Cli, definition: ReturnType<typeof evaluate>, what: string): number {
  if (what === 'variables') {
    const rows = definition.variables.map(({ name, value, description }) => [
      name,
      typeof value === 'object' ? JSON.stringify(value) : toText(value),
      description,
    ]);
    cli.io.stdout.write(cli.clean(layOut([['VARIABLE', 'VALUE', 'DESCRIPTION'], ...rows])));
    return 0;
  }
  if (what !== 'targets') throw new CommandError(`cannot list ${JSON.stringify(what)}: use targets or variables`);
  const plans = [...definition.groups.keys(), ...definition.targets.keys(), ...definition.matrices.keys()].sort();
  const rows = plans.map((name) => {
    const attributes = definition.targets.get(name) ?? definition.groups.get(name) ?? {};
    const members = definition.groups.get(name)?.['targets'];
    const text = attributes['description'];
    return [name, typeof text === 'string' ? text : Array.isArray(members) ? members.join(', ') : ''];
  });
  cli.io.stdout.write(cli.clean(layOut([['TARGET', 'DESCRIPTION'], ...rows])));
  return 0;
}

/** What a bake file has wrong is said without a trace. */
function wrapped<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => R {
  return (...args) => {
    try {
      return work(...args);
    } catch (error) {
      if (error instanceof CommandError) throw error;
      throw new CommandError((error as Error).message, 1, { cause: error });
    }
  };
}
