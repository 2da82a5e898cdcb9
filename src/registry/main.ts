/** `gantry registry serve`, a registry in the foreground, and `gantry registry prune`. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { EngineError, errorMessage } from '../base/errors.ts';
import { FileContentStore } from '../content/file-content-store.ts';
import { prune } from './prune.ts';
import { SERVE_OPTIONS, settingsOf } from './serve-options.ts';
import { lockRoot } from './root-lock.ts';
import { openBucket } from './s3/open.ts';
import type { S3Credentials } from './s3/signature.ts';
import { DirectoryFiles } from './server/directory-files.ts';
import { FileLinks } from './server/file-links.ts';
import { Repositories } from './server/repositories.ts';
import { repositoryPolicy, serveRegistry } from './server/serve.ts';
import { readRegistrySettings, type RegistrySettings } from './server/settings.ts';

const GRACE_MS = 10_000;

const HELP = `
Usage:  gantry registry serve [OPTIONS]

A registry for container images, in the foreground (OCI distribution specification 1.1), from a directory
or a bucket; with --engine the images of the engine that runs, from its own store, without a copy.

Examples:
  # On this machine, for whoever is on it
  gantry registry serve --root /srv/registry

  # For others: with logins and TLS
  htpasswd -Bbn ann secret > users
  gantry registry serve --addr :5000 --htpasswd users --tls-cert cert.pem --tls-key key.pem

  # The images of this machine's engine, until ctrl-C; with --detach until "gantry registry stop"
  gantry registry serve --engine

Options:
      --addr ADDRESS:PORT    Where to listen (default "127.0.0.1:5000")
      --config FILE          Settings beyond these flags, in JSON: see docs/registries.md
      --engine               Serve the images of the engine ("gantry -H HOST registry serve --engine" for another)
  -d, --detach               With --engine: leave it open, also for the next engine
      --root DIR             Where images are kept (default "/var/lib/gantry-registry")
      --htpasswd FILE        Who may log in: bcrypt entries, as "htpasswd -B" makes them
      --anonymous-pull       Pulls need no login
      --tls-cert FILE        Certificate, with --tls-key
      --tls-key FILE         Its key
      --max-blob-size BYTES  Largest layer that is taken (default 64 GiB)
      --no-delete            Refuse deletions
      --audit                Write a line of JSON for each request that changes something or is refused
  -h, --help                 Print this help and exit
`;

const PRUNE_OPTIONS = {
  config: { type: 'string' },
  root: SERVE_OPTIONS.root,
  'dry-run': { type: 'boolean', default: false },
  help: SERVE_OPTIONS.help,
} as const;

const PRUNE_HELP = `
Usage:  gantry registry prune --config FILE [OPTIONS]

Delete what the retention rules of a registry let go, and the blobs that nothing needs then. A server
does so by itself every hour; with --dry-run it can be asked beside one what it is going to delete.

Examples:
  # What would go?
  gantry registry prune --config registry.json --root /srv/registry --dry-run

Options:
      --config FILE  The server's settings, with "retention"
      --root DIR     Where images are kept (default "/var/lib/gantry-registry")
      --dry-run      Only say what would be deleted
  -h, --help         Print this help and exit
`;

// Before anything is allocated: what passes through goes again sooner, and large blobs cost a third less memory.
for (const flag of ['--semi-space-growth-factor=1', '--max-semi-space-size=2']) setFlagsFromString(flag);

async function main([command, ...args]: readonly string[]): Promise<void> {
  if (command === 'prune') return runPrune(args);
  return runServe(command === 'serve' ? args : command === undefined ? [] : [command, ...args]);
}

async function runPrune(args: readonly string[]): Promise<void> {
  const { values } = readOptions(args, PRUNE_OPTIONS);
  if (values.help) return void process.stdout.write(PRUNE_HELP);
  if (values.config === undefined) throw new EngineError('invalid-argument', '--config is missing');
  const settings = readRegistrySettings(values.config);
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  await prune({ root: values.root, settings, dryRun: values['dry-run'], say });
}

async function runServe(args: readonly string[]): Promise<void> {
  const { values } = readOptions(args, SERVE_OPTIONS);
  if (values.help) return void process.stdout.write(HELP);
  if (values.engine || values.detach) {
    // The launcher starts the command line for these; it does not see through short flags in one word.
    throw new EngineError('invalid-argument', 'write --engine and --detach as words of their own');
  }
  const settings = settingsOf(values);
  const { repositories, where, held } = await openStore(values.root, settings);
  const report = (message: string): void => void process.stderr.write(`${message}\n`);
  const served = await serveRegistry(settings, {
    repositories,
    audit: values.audit ? (line) => void process.stdout.write(`${line}\n`) : undefined,
    report,
  });
  report(`registry listens on ${served.address}, images are in ${where}`);
  const end = async (): Promise<void> => {
    await served.close({ graceMs: GRACE_MS });
    await held.disposeAsync();
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => void end());
  }
}

/** Where images are kept, for as long as `held` is not disposed of. */
async function openStore(
  root: string,
  settings: RegistrySettings,
): Promise<{ repositories: Repositories; where: string; held: AsyncDisposableStack }> {
  const held = new AsyncDisposableStack();
  const policy = repositoryPolicy(settings);
  if (settings.s3) {
    const bucket = held.use(openBucket(settings.s3, { credentials: s3Credentials(), policy }));
    bucket.content.sweep().catch((error: unknown) => {
      // Not every store can tell what was begun; then its own rules for that are the ones that count.
      process.stderr.write(`uploads that were left in the bucket are not swept: ${errorMessage(error)}\n`);
    });
    return { repositories: bucket.repositories, where: `the bucket ${settings.s3.bucket}`, held };
  }
  await mkdir(root, { recursive: true, mode: 0o700 });
  held.use(await lockRoot(root));
  const links = new FileLinks(new DirectoryFiles(join(root, 'repositories')));
  return { repositories: new Repositories(await FileContentStore.open(root), links, policy), where: root, held };
}

function s3Credentials(): S3Credentials {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN } = process.env;
  if (!accessKeyId || !secretAccessKey) {
    throw new EngineError('invalid-argument', 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for the object store');
  }
  return { accessKeyId, secretAccessKey, sessionToken: AWS_SESSION_TOKEN || undefined };
}

function readOptions<T extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: T,
): ReturnType<typeof parseArgs<{ options: T }>> {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: false });
  } catch (error) {
    throw new EngineError('invalid-argument', errorMessage(error), { cause: error });
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(
    `${errorMessage(error)}\nSee 'gantry registry ${process.argv[2] === 'prune' ? 'prune' : 'serve'} --help'.\n`,
  );
  process.exitCode = 1;
});
