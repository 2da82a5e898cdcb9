import type { BuildDescriptionDocument } from '../../../api/gantry.ts';
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
  const { place, file, platform, target, buildArgs } = options;
  if (place === '-' || file === '-')
    throw new CommandError(`invalid argument: --${method} needs a directory as its context`);
  const context = checkContext(place, file);
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
  const description = await client.builder.describe({
    query: { ...query, target: target || undefined, buildargs: JSON.stringify(buildArgs) },
    context: context.tar,
  });
  if (json) cli.print(JSON.stringify(method === 'targets' ? description.Targets : description.Outline, null, 2));
  else if (method === 'targets') cli.io.stdout.write(cli.clean(targetsText(description)));
  else cli.io.stdout.write(cli.clean(outlineText(description)));
  return 0;
}

function targetsText({ Targets }: BuildDescriptionDocument): string {
  const rows = Targets.map(({ Name, Description, Default }) => [
    Default ? (Name === 'default' ? '(default)' : `${Name} (default)`) : Name,
    Description,
  ]);
  return layOut([['TARGET', 'DESCRIPTION'], ...rows]);
}

function outlineText({ Outline }: BuildDescriptionDocument): string {
  const parts: string[] = [];
  const head = [
    ...(Outline.Name === '' ? [] : [`TARGET:      ${Outline.Name}`]),
    ...(Outline.Description === '' ? [] : [`DESCRIPTION: ${Outline.Description}`]),
  ];
  if (head.length > 0) parts.push(`${head.join('\n')}\n`);
  const table = (rows: readonly (readonly string[])[]): void => {
    if (rows.length > 1) parts.push(layOut(rows.map((row) => [...row])));
  };
  table([['BUILD ARG', 'VALUE', 'DESCRIPTION'], ...Outline.Args.map((arg) => [arg.Name, arg.Value, arg.Description])]);
  const required = (one: { Name: string; Required: boolean }): string[] => [one.Name, String(one.Required)];
  table([['SECRET', 'REQUIRED'], ...Outline.Secrets.map(required)]);
  table([['SSH', 'REQUIRED'], ...Outline.SSH.map(required)]);
  table([['CACHE MOUNT'], ...Outline.Caches.map(({ ID }) => [ID])]);
  return parts.length === 0 ? 'The target takes no arguments, secrets or agents.\n' : parts.join('\n');
}

/** `--context-ls`: what is sent to the engine, what stays, and by which line of the ignore file. */
export function listBuildContext(cli: Cli, { place, file }: Pick<CallOptions, 'place' | 'file'>): number {
  if (place === '-' || file === '-')
    throw new CommandError('invalid argument: --context-ls needs a directory as its context');
  let [sent, bytes, ignored] = [0, 0, 0];
  const rows: string[][] = [['STATE', 'SIZE', 'RULE', 'PATH']];
  for (const entry of listContext(place, file)) {
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
