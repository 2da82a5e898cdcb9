import fs from 'node:fs';
import { DEFAULT_TAG, parseReference } from '../../../oci/reference.ts';
import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { lockKey, readLock } from '../../lock/lock-file.ts';
import { progressFlag, type ProgressForm, progressForm, progressOutput, say } from '../../options/progress.ts';
import { pullImage } from '../../pull-image.ts';

export const pull = command({
  usage: '[OPTIONS] NAME[:TAG|@DIGEST]',
  flags: {
    'all-tags': bool('Download all tagged images in the repository', { short: 'a' }),
    'disable-content-trust': bool('Skip image verification', { initial: true, hidden: true }),
    locked: bool('Pull the digest that Dockerfile.lock or compose.lock in this directory has for the tag'),
    progress: progressFlag,
    platform: string('Set platform if server is multi-platform capable'),
    quiet: bool('Suppress verbose output', { short: 'q' }),
  },
  args: { min: 1, max: 1 },
  complete: 'image',
  async run(cli, { flags, args }) {
    const reference = parseReference(args[0]!);
    const bare = reference.tag === undefined && reference.digest === undefined;
    if (flags['all-tags'] && !bare) throw new CommandError("tag can't be used with --all-tags/-a");
    const form = progressForm(flags, cli.io.stdout);
    if (!flags['all-tags'] && bare && form !== 'quiet') say(cli, form, `Using default tag: ${DEFAULT_TAG}`);
    const platform = flags.platform || cli.env['DOCKER_DEFAULT_PLATFORM'] || undefined;
    if (flags.locked) return pullLocked(cli, args[0]!, { platform, form });
    await pullImage(cli, args[0]!, {
      platform,
      all: flags['all-tags'],
      output: progressOutput(form, cli.io.stdout),
      json: form === 'json',
    });
    const end =
      reference.digest !== undefined
        ? `@${reference.digest}`
        : flags['all-tags']
          ? ''
          : `:${reference.tag ?? DEFAULT_TAG}`;
    say(cli, form, `${reference.repository}${end}`);
    return 0;
  },
});

/** By digest, and known by its tag afterwards: what runs by that name is what was locked. */
async function pullLocked(
  cli: Cli,
  name: string,
  { platform, form }: { platform: string | undefined; form: ProgressForm },
): Promise<number> {
  const key = lockKey(name);
  if (key === undefined) throw new CommandError(`${name} has a digest: --locked is for tags`);
  const locks = fs.readdirSync('.').filter((file) => /(?:Dockerfile|compose).*\.lock$/.test(file));
  const digests = new Set(locks.flatMap((file) => readLock(file)?.get(key) ?? []));
  if (digests.size > 1) throw new CommandError(`the locks here have different digests for ${key}`);
  const [digest] = digests;
  if (digest === undefined) throw new CommandError(`no lock in this directory has ${key}: run \`gantry lock\``);
  const byDigest = `${key}@${digest}`;
  await pullImage(cli, byDigest, { platform, output: progressOutput(form, cli.io.stdout), json: form === 'json' });
  const { repository, tag } = parseReference(key);
  const client = await cli.client();
  await client.images.tag(byDigest, repository, tag ?? DEFAULT_TAG);
  say(cli, form, `${repository}:${tag ?? DEFAULT_TAG}@${digest}`);
  return 0;
}
