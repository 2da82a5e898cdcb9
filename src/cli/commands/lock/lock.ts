import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { authHeaderFor } from '../../credentials.ts';
import { bool, list } from '../../flag.ts';
import { lockKey, lockPathFor, type Pins, readLock, writeLock } from '../../lock/lock-file.ts';
import { lockSources } from '../../lock/sources.ts';
import { toRecord } from '../../options/environment.ts';

export const lock = command({
  usage: '[update] [OPTIONS] [PATH...]',
  description: `Write down which images the tags in Dockerfiles and compose files mean: Dockerfile.lock, compose.lock.
\`gantry build --locked\`, \`pull --locked\` and \`compose --locked\` then use these and no others.

\`gantry lock\` adds what is missing and takes out what is not named any more. \`gantry lock update\` asks for all
tags anew, and shows what changed. PATH is a directory or a file; default is the current directory.`,
  examples: `gantry lock
gantry build --locked -t app .
# In CI: fails when a name has no lock
gantry lock --check
# Newer images, as a diff to look at and to commit
gantry lock update`,
  flags: {
    'build-arg': list('Values for ARGs that stand in FROM'),
    check: bool('Write nothing, and fail when a lock would change'),
  },
  args: { min: 0 },
  complete: 'file',
  async run(cli, { flags, args }) {
    const update = args[0] === 'update';
    const paths = update ? args.slice(1) : args;
    let stale = false;
    for (const path of paths.length === 0 ? ['.'] : paths) {
      for (const { file, images } of await lockSources(cli, path, toRecord(flags['build-arg']))) {
        const lockPath = lockPathFor(file);
        const before: Pins = readLock(lockPath) ?? new Map();
        const names = [...new Set(images.flatMap((name) => lockKey(name) ?? []))].sort();
        const after = new Map<string, string>();
        for (const name of names) {
          const known = update ? undefined : before.get(name);
          // Whether there is a lock can be told without asking anybody.
          after.set(name, known ?? (flags.check && !update ? '' : await digestOf(cli, name)));
        }
        const changed = showDiff(cli, lockPath, before, after);
        stale ||= changed;
        if (changed && !flags.check) writeLock(lockPath, after);
      }
    }
    if (flags.check && stale) {
      throw new CommandError(`the lock is not what it would be: run \`gantry lock${update ? ' update' : ''}\``);
    }
    return 0;
  },
});

/** Prints what is different; whether anything is. */
function showDiff(cli: Cli, path: string, before: Pins, after: Pins): boolean {
  const lines: string[] = [];
  for (const name of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [old, now] = [before.get(name), after.get(name)];
    if (old === now) continue;
    if (old !== undefined) lines.push(paint(cli, `- ${name} ${old}`, 31));
    if (now !== undefined) lines.push(paint(cli, `+ ${name} ${now}`.trimEnd(), 32));
  }
  cli.print(lines.length === 0 ? `${path}: ${after.size} images, nothing changed` : `${path}:`);
  for (const line of lines) cli.print(line);
  return lines.length > 0;
}

function paint(cli: Cli, text: string, color: number): string {
  return cli.colors ? `\x1b[${color}m${text}\x1b[0m` : text;
}

async function digestOf(cli: Cli, name: string): Promise<string> {
  const client = await cli.client();
  const { Descriptor } = await client.images.distribution(name, { auth: await authHeaderFor(cli, name) });
  return Descriptor.digest;
}
