import type { BuildOutlineDocument, BuildTargetsDocument } from '../../../api/gantry.ts';
import { checkContext, listContext } from '../../archive/build-context.ts';
import type { Cli } from '../../cli.ts';
import { CommandError } from '../../command.ts';
import { layOut } from '../../output/table.ts';
import { humanSize } from '../../output/units.ts';

/** What a build answers instead of building: `--check`, `--call`, `--context-ls`. */
export interface CallOptions {
  readonly place: string;
  readonly file: string;
  readonly platform: string;
  readonly target: string;
  readonly buildArgs: Readonly<Record<string, string | null>>;
  readonly gitignore: boolean;
}

const CALLS = ['build', 'check', 'outline', 'targets'];

/** `METHOD[,format=json]` of `--call`. Undefined is a build. Throws CommandError. */
export function readCall(text: string): { readonly method: string; readonly json: boolean } | undefined {
  const [name = '', ...fields] = text.split(',');
  const method = name.replace(/^method=/, '').replace(/^lint$/, 'check');
  if (!CALLS.includes(method)) throw new CommandError(`unknown call ${JSON.stringify(name)}: use ${CALLS.join(', ')}`);
  for (const field of fields)
    if (!/^format=(json|text|txt)$/.test(field))
      throw new CommandError(`unknown option ${JSON.stringify(field)} of --call`);
  return method === 'build' ? undefined : { method, json: fields.includes('format=json') };
}

/** Gives the exit code. */
export async function runCall(
  cli: Cli,
  { method, json }: { readonly method: string; readonly json: boolean },
  options: CallOptions,
): Promise<number> {
  const { place, file, platform, target, buildArgs, gitignore } = options;
  if (place === '-' || file === '-')
    throw new CommandError(`invalid argument: --${method} needs a directory as its context`);
  const context = checkContext(place, file, { gitignore });
  const client = await cli.client();
  const query = { dockerfile: context.dockerfile, platform: platform || undefined };
  if (method === 'check') {
    const found = await client.builder.check({
      query: { ...query, names: context.complete || undefined },
      context: context.tar,
    });
    // As buildx: for scripts whatever it would find is a failure. What only we say is advice.
    const code = found.Fails || found.Warnings.some(({ Own }) => !Own) ? 1 : 0;
    if (json) {
      cli.print(JSON.stringify(found, null, 2));
      return code;
    }
    const { Warnings } = found;
    for (const { Rule, Message, Excerpt } of Warnings) cli.print(`WARNING: ${Rule}\n${Message}\n${Excerpt}`);
    const count = Warnings.length === 1 ? '1 warning has been found!' : `${Warnings.length} warnings have been found!`;
    cli.print(`Check complete, ${Warnings.length === 0 ? 'no warnings found.' : count}`);
    return code;
  }
  const { Targets, Outline } = await client.builder.describe({
    query: { ...query, target: target || undefined, buildargs: JSON.stringify(buildArgs) },
    context: context.tar,
  });
  if (json) cli.print(JSON.stringify(method === 'targets' ? Targets : Outline, null, 2));
  else cli.io.stdout.write(cli.clean(method === 'targets' ? targetsText(Targets) : outlineText(Outline)));
  return 0;
}

function targetsText({ targets }: BuildTargetsDocument): string {
  const rows = targets.map(({ name, description = '', default: last = false }, index) => {
    const shown = name ?? (last ? '' : String(index));
    return [last ? `${shown} (default)`.trimStart() : shown, description];
  });
  return layOut([['TARGET', 'DESCRIPTION'], ...rows]);
}

function outlineText({
  name,
  description,
  args = [],
  secrets = [],
  ssh = [],
  cache = [],
}: BuildOutlineDocument): string {
  const parts: string[] = [];
  const head = [
    ...(name === undefined ? [] : [`TARGET:      ${name}`]),
    ...(description === undefined ? [] : [`DESCRIPTION: ${description}`]),
  ];
  if (head.length > 0) parts.push(`${head.join('\n')}\n`);
  const table = (rows: readonly (readonly string[])[]): void => {
    if (rows.length > 1) parts.push(layOut(rows.map((row) => [...row])));
  };
  const argument = (arg: (typeof args)[number]): string[] => [arg.name, arg.value ?? '', arg.description ?? ''];
  table([['BUILD ARG', 'VALUE', 'DESCRIPTION'], ...args.map(argument)]);
  const required = (one: (typeof secrets)[number]): string[] => [one.name, one.required === true ? 'true' : ''];
  table([['SECRET', 'REQUIRED'], ...secrets.map(required)]);
  table([['SSH', 'REQUIRED'], ...ssh.map(required)]);
  table([['CACHE MOUNT'], ...cache.map(({ ID }) => [ID])]);
  return parts.length === 0 ? 'The target takes no arguments, secrets or agents.\n' : parts.join('\n');
}

/** `--context-ls`: what is sent to the engine, what stays, and by which line of the ignore file. */
export function listBuildContext(
  cli: Cli,
  { place, file, gitignore }: Pick<CallOptions, 'place' | 'file' | 'gitignore'>,
): number {
  if (place === '-' || file === '-')
    throw new CommandError('invalid argument: --context-ls needs a directory as its context');
  let [sent, bytes, ignored] = [0, 0, 0];
  const rows: string[][] = [['STATE', 'SIZE', 'RULE', 'PATH']];
  for (const entry of listContext(place, file, { gitignore })) {
    if (entry.sent && entry.kind !== 'directory') sent++;
    if (entry.sent) bytes += entry.size;
    else ignored++;
    const state = entry.sent ? 'sent' : 'ignored';
    const size = entry.kind === 'file' ? humanSize(entry.size) : '';
    rows.push([state, size, entry.rule ?? '', `${entry.path}${entry.kind === 'directory' ? '/' : ''}`]);
  }
  cli.io.stdout.write(cli.clean(layOut(rows)));
  cli.print(`${sent} files sent, ${humanSize(bytes)}; ${ignored} left out`);
  return 0;
}
