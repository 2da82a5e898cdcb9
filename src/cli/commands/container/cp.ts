import fs from 'node:fs';
import { isAbsolute, posix, resolve } from 'node:path';
import type { PathStat } from '../../../api/container.ts';
import { errorCode } from '../../../base/errors.ts';
import type { Client } from '../../../client/client.ts';
import { writeTar } from '../../../content/tar/writer.ts';
import { CountedBytes } from '../../archive/counted.ts';
import { packTree } from '../../archive/pack.ts';
import { parentOf, unpackTree } from '../../archive/unpack.ts';
import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { bool } from '../../flag.ts';
import { fileComplaint } from '../../options/environment.ts';
import { humanSize } from '../../output/units.ts';

interface CopyOptions {
  readonly archive: boolean;
  readonly followLink: boolean;
  readonly quiet: boolean;
}

export const cp = command({
  usage: '[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH',
  description: `Copy files/folders between a container and the local filesystem

Use '-' as the source to read a tar archive from stdin
and extract it to a directory destination in a container.
Use '-' as the destination to stream a tar archive of a
container source to stdout.`,
  examples: `# A file out of a container, and back in
gantry cp web:/etc/hostname .
gantry cp index.html web:/usr/share/html/`,
  flags: {
    archive: bool('Archive mode (copy all uid/gid information)', { short: 'a' }),
    'follow-link': bool('Always follow symbol link in SRC_PATH', { short: 'L' }),
    quiet: bool(
      'Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached',
      { short: 'q' },
    ),
  },
  args: { min: 2, max: 2 },
  complete: 'container',
  async run(cli, { flags, args }) {
    const [source, target] = args.map(splitArgument);
    const options = {
      archive: flags.archive,
      followLink: flags['follow-link'],
      quiet: flags.quiet || !cli.io.stderr.isTTY,
    };
    if (source!.container !== undefined && target!.container !== undefined)
      throw new CommandError('copying between containers is not supported');
    if (source!.container === undefined && target!.container === undefined)
      throw new CommandError('must specify at least one container source');
    const client = await cli.client();
    if (source!.container !== undefined)
      await copyOut(cli, client, source!.container, source!.path, target!.path, options);
    else await copyIn(cli, client, source!.path, target!.container!, target!.path, options);
    return 0;
  },
});

/** `CONTAINER:PATH`, or a path of our own: one that is absolute, begins with a dot, or has no colon. */
function splitArgument(text: string): { container?: string; path: string } {
  if (isAbsolute(text)) return { path: text };
  const colon = text.indexOf(':');
  if (colon < 0 || text.startsWith('.')) return { path: text };
  const container = text.slice(0, colon);
  if (container === '') throw new CommandError('container can not be empty');
  return { container, path: text.slice(colon + 1) };
}

async function copyOut(
  cli: Cli,
  client: Client,
  container: string,
  from: string,
  to: string,
  options: CopyOptions,
): Promise<void> {
  let path = from;
  if (options.followLink) {
    const stat = await client.containers.archiveStat(container, path);
    if (isLink(stat)) path = posix.resolve(posix.dirname(posix.resolve('/', path)), stat.linkTarget);
  }
  if (to !== '-') checkParent(to);
  const { stat, tar } = await client.containers.archiveGet(container, path);
  if (to === '-') {
    if (cli.io.stdout.isTTY) throw new CommandError('cowardly refusing to write an archive to a terminal. Redirect it');
    for await (const chunk of tar) cli.io.stdout.write(chunk);
    return;
  }
  const isDirectory = stat.mode >= 2 ** 31;
  const destination = resolve(to);
  const there = fs.statSync(destination, { throwIfNoEntry: false });
  const counted = new CountedBytes(tar, progress(cli, 'Copying from container', options));
  if (there?.isDirectory() === true) {
    // With `/.` the contents alone; else under the name it was asked for by, which a link followed by -L keeps.
    const name = posix.basename(from.replace(/\/+$/, '') || '/');
    await unpackTree(counted, destination, {
      rename: /(^|\/)\.$/.test(path) || path === '/' ? '.' : name,
      owners: options.archive,
    });
  } else {
    if (there && isDirectory) throw new CommandError('cannot copy directory');
    if (!there && !isDirectory && to.endsWith('/')) throw new CommandError('no such directory');
    if (there && to.endsWith('/')) throw new CommandError('not a directory');
    const parent = parentOf(destination);
    const name = destination.slice(parent === '/' ? 1 : parent.length + 1);
    if (isDirectory && /(^|\/)\.$/.test(path)) {
      fs.mkdirSync(destination);
      await unpackTree(counted, destination, { rename: '.', owners: options.archive });
    } else {
      // A link to a file is written through, as by cp.
      const final = there ? fs.realpathSync(destination) : destination;
      await unpackTree(counted, parentOf(final), {
        rename: there ? posix.basename(final) : name,
        owners: options.archive,
      });
    }
  }
  done(cli, counted.bytes, to, options);
}

async function copyIn(
  cli: Cli,
  client: Client,
  from: string,
  container: string,
  to: string,
  options: CopyOptions,
): Promise<void> {
  const local = from === '-' ? undefined : localSource(from, options.followLink);
  let target = to;
  let there = await statOrUndefined(client, container, target);
  if (there && isLink(there)) {
    target = posix.resolve(posix.dirname(posix.resolve('/', target)), there.linkTarget);
    there = await statOrUndefined(client, container, target);
  }
  const targetIsDirectory = there !== undefined && there.mode >= 2 ** 31;
  if (!local) {
    if (!targetIsDirectory) throw new CommandError(`destination "${container}:${to}" must be a directory`);
    await client.containers.archivePut(container, target, cli.io.stdin(), {
      copyUidGid: options.archive,
      allowOverwriteDirWithFile: true,
    });
    return;
  }
  const { source, isDirectory, contents } = local;
  let folder = target;
  let name = contents ? '.' : posix.basename(resolve(from)) || '.';
  if (there && !targetIsDirectory) {
    if (isDirectory) throw new CommandError('cannot copy directory');
    if (to.endsWith('/')) throw new CommandError('not a directory');
    [folder, name] = split(target);
  } else if (!there) {
    if (!isDirectory && to.endsWith('/')) throw new CommandError('no such directory');
    [folder, name] = split(target);
  }
  const counted = new CountedBytes(
    writeTar(packTree(source, { name })),
    progress(cli, 'Copying to container', options),
  );
  await client.containers.archivePut(container, folder, counted, { copyUidGid: options.archive });
  done(cli, counted.bytes, `${container}:${to}`, options);
}

function split(path: string): [string, string] {
  const whole = posix.resolve('/', path);
  return [posix.dirname(whole), posix.basename(whole)];
}

async function statOrUndefined(client: Client, container: string, path: string): Promise<PathStat | undefined> {
  try {
    return await client.containers.archiveStat(container, path);
  } catch (error) {
    if (errorCode(error) === 'not-found' && !/no such container/i.test((error as Error).message)) return undefined;
    throw error;
  }
}

/** Bit 27 of Go's file modes. */
function isLink(stat: PathStat): boolean {
  return Math.trunc(stat.mode / 2 ** 27) % 2 === 1;
}

function checkParent(path: string): void {
  const parent = parentOf(resolve(path));
  if (!fs.existsSync(parent)) throw new CommandError(`invalid output path: directory "${parent}" does not exist`);
}

function progress(cli: Cli, words: string, options: CopyOptions): (bytes: number) => void {
  if (options.quiet) return () => {};
  let last = 0;
  return (bytes) => {
    if (Date.now() - last < 100) return;
    last = Date.now();
    cli.io.stderr.write(`\r\x1b[2K${words} - ${humanSize(bytes, 3)}`);
  };
}

function done(cli: Cli, bytes: number, to: string, options: CopyOptions): void {
  if (!options.quiet) cli.io.stderr.write(`\r\x1b[2KSuccessfully copied ${humanSize(bytes, 3)} to ${to}\n`);
}

/** What is copied in: found and judged before the container is asked for anything. */
function localSource(from: string, followLink: boolean): { source: string; isDirectory: boolean; contents: boolean } {
  const contents = /(^|\/)\.$/.test(from);
  let source = resolve(from);
  let stat: fs.Stats;
  try {
    if (followLink || from.endsWith('/')) {
      // Under the name of the link, with what it points to.
      stat = fs.statSync(source);
      if (fs.lstatSync(source).isSymbolicLink()) source = fs.realpathSync(source);
    } else {
      stat = fs.lstatSync(source);
    }
  } catch (error) {
    throw new CommandError(`lstat ${source}: ${fileComplaint(error)}`, 1, { cause: error });
  }
  return { source, isDirectory: stat.isDirectory(), contents };
}
