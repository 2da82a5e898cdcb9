/** `gantry registry serve`: a registry from a directory, in the foreground. */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { EngineError, errorMessage } from '../base/errors.ts';
import { FileContentStore } from '../content/file-content-store.ts';
import { Access, parseHtpasswd } from './server/access.ts';
import { DirectoryLinks } from './server/directory-links.ts';
import { RegistryServer } from './server/registry-server.ts';
import { Repositories } from './server/repositories.ts';

const COLLECT_EVERY_MS = 3600_000;
const GRACE_MS = 10_000;

const OPTIONS = {
  addr: { type: 'string', default: '127.0.0.1:5000' },
  root: { type: 'string', default: '/var/lib/gantry-registry' },
  htpasswd: { type: 'string' },
  'anonymous-pull': { type: 'boolean', default: false },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'max-blob-size': { type: 'string' },
  'no-delete': { type: 'boolean', default: false },
  audit: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

const HELP = `
Usage:  gantry registry serve [OPTIONS]

A registry for container images, in the foreground (OCI distribution specification 1.1).

Options:
      --addr ADDRESS:PORT    Where to listen (default "127.0.0.1:5000")
      --root DIR             Where images are kept (default "/var/lib/gantry-registry")
      --htpasswd FILE        Who may log in: bcrypt entries, as "htpasswd -B" makes them
      --anonymous-pull       Pulls need no login
      --tls-cert FILE        Certificate, with --tls-key
      --tls-key FILE         Its key
      --max-blob-size BYTES  Largest layer that is taken (default 64 GiB)
      --no-delete            Refuse deletions
      --audit                Write a line of JSON for each request that changes something
  -h, --help                 Print this help and exit
`;

async function main(args: readonly string[]): Promise<void> {
  const { values } = readOptions(args);
  if (values.help) return void process.stdout.write(HELP);
  const address = parseAddress(values.addr);
  const { 'tls-cert': cert, 'tls-key': key } = values;
  if ((cert === undefined) !== (key === undefined)) {
    throw new EngineError('invalid-argument', '--tls-cert and --tls-key go together');
  }
  const size = values['max-blob-size'];
  if (size !== undefined && !/^[1-9]\d{0,14}$/.test(size)) {
    throw new EngineError('invalid-argument', `--max-blob-size ${size} is no number of bytes`);
  }
  const users = values.htpasswd === undefined ? undefined : parseHtpasswd(readFileSync(values.htpasswd, 'utf8'));
  await mkdir(values.root, { recursive: true, mode: 0o700 });
  const content = await FileContentStore.open(values.root);
  const repositories = new Repositories(content, new DirectoryLinks(join(values.root, 'repositories')));
  const say = (message: string): void => void process.stderr.write(`${message}\n`);
  const server = new RegistryServer({
    repositories,
    access: new Access({ users, anonymousPull: values['anonymous-pull'] }),
    tls: cert === undefined ? undefined : { cert: readFileSync(cert, 'utf8'), key: readFileSync(key!, 'utf8') },
    maxBlobBytes: size === undefined ? undefined : Number(size),
    deletes: !values['no-delete'],
    audit: values.audit ? (line) => void process.stdout.write(`${line}\n`) : undefined,
    report: say,
  });
  const { host, port } = await server.listen(address);
  say(`registry listens on ${host.includes(':') ? `[${host}]` : host}:${port}, images are in ${values.root}`);
  const collect = (): void => {
    repositories.collect().catch((error: unknown) => say(`collection of unused blobs: ${errorMessage(error)}`));
  };
  setInterval(collect, COLLECT_EVERY_MS).unref();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => void server.close({ graceMs: GRACE_MS }).finally(() => process.exit(0)));
  }
}

function readOptions(args: readonly string[]): ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>> {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: false });
  } catch (error) {
    throw new EngineError('invalid-argument', errorMessage(error), { cause: error });
  }
}

/** `:5000`, `127.0.0.1:5000`, `[::1]:5000`. Throws `invalid-argument`. */
function parseAddress(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535) throw new EngineError('invalid-argument', `--addr ${text} is no ADDRESS:PORT`);
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${errorMessage(error)}\nSee 'gantry registry serve --help'.\n`);
  process.exitCode = 1;
});
