import { SERVE_OPTIONS, settingsOf, withFullPaths } from '../../../registry/serve-options.ts';
import { command, CommandError } from '../../command.ts';
import { bool, string } from '../../flag.ts';

/**
 * The launcher starts `gantry registry serve` and `gantry registry prune` as programs of their own; what gets here is for the
 * engine, or stands behind options of the command line.
 */
export const serve = command({
  usage: '[OPTIONS]',
  description:
    'Serve a registry in the foreground: from a directory or a bucket, or with --engine the images of the engine, from its own store and without a copy. Registries of the engine end with this command, or with --detach by "gantry registry stop"; the next engine opens them again.',
  examples: `# A registry of its own, on this machine
gantry registry serve --root /srv/registry

# The images of this machine's engine, until ctrl-C
gantry registry serve --engine

# The same for others, with logins and TLS, until it is stopped
gantry registry serve --engine --detach --addr :5000 --htpasswd users --tls-cert cert.pem --tls-key key.pem
gantry registry stop 0.0.0.0:5000`,
  flags: {
    addr: string('Where to listen (default "127.0.0.1:5000")', { kind: 'address:port' }),
    config: string('Settings beyond these flags, in JSON', { kind: 'file', complete: 'file' }),
    engine: bool('Serve the images of the engine'),
    detach: bool('With --engine: leave it open, also for the next engine', { short: 'd' }),
    root: string('Where images are kept (default "/var/lib/gantry-registry")', { kind: 'dir', complete: 'file' }),
    htpasswd: string('Who may log in: bcrypt entries, as "htpasswd -B" makes them', {
      kind: 'file',
      complete: 'file',
    }),
    'anonymous-pull': bool('Pulls need no login'),
    'tls-cert': string('Certificate, with --tls-key', { kind: 'file', complete: 'file' }),
    'tls-key': string('Its key', { kind: 'file', complete: 'file' }),
    'max-blob-size': string('Largest layer that is taken, in bytes (default 64 GiB)', { kind: 'bytes' }),
    'no-delete': bool('Refuse deletions'),
    audit: bool('Write a line of JSON for each request that changes something or is refused'),
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags, given }) {
    if (!flags.engine) {
      if (flags.detach) throw new CommandError('--detach is for the registries of an engine: it goes with --engine');
      throw new CommandError(
        'write it as "gantry registry serve [OPTIONS]": a registry with a directory of its own takes no options of the gantry command',
      );
    }
    if (given.has('root'))
      throw new CommandError('--engine serves from the store of the engine, --root from a directory: choose one');
    const value = (name: 'addr' | 'config' | 'htpasswd' | 'tls-cert' | 'tls-key' | 'max-blob-size') =>
      given.has(name) ? flags[name] : undefined;
    const settings = withFullPaths(
      settingsOf({
        addr: value('addr'),
        config: value('config'),
        htpasswd: value('htpasswd'),
        'tls-cert': value('tls-cert'),
        'tls-key': value('tls-key'),
        'max-blob-size': value('max-blob-size'),
        'anonymous-pull': flags['anonymous-pull'],
        'no-delete': flags['no-delete'],
      }),
    );
    const client = await cli.client();
    if (flags.detach) {
      cli.print((await client.registries.keep(settings)).Address);
      return 0;
    }
    let address: string | undefined;
    let stopped = false;
    const abort = new AbortController();
    const stop = (): void => {
      // Once lets requests end, twice does not.
      if (stopped || address === undefined) return abort.abort();
      stopped = true;
      client.registries.stop(address).catch(() => abort.abort());
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
    for (const signal of signals) process.on(signal, stop);
    try {
      for await (const { Address, Audit, Dropped } of client.registries.serve(settings, abort.signal)) {
        if (Address !== undefined) {
          address = Address;
          cli.warn(`registry listens on ${Address}, images are those of the engine`);
        }
        if (Dropped !== undefined) cli.warn(`${Dropped} audit lines were dropped here; the engine's log has them`);
        if (Audit !== undefined && flags.audit) cli.print(Audit);
      }
    } catch (error) {
      if (!abort.signal.aborted) throw error;
      return address === undefined ? 130 : 0;
    } finally {
      for (const signal of signals) process.off(signal, stop);
    }
    if (stopped) return 0;
    throw new CommandError(`the registry at ${address ?? settings.addr} was closed by the engine`);
  },
});

export const prune = command({
  usage: '[OPTIONS]',
  flags: {
    config: string('The server\'s settings, with "retention"', { kind: 'file', complete: 'file' }),
    root: string(`Where images are kept (default "${SERVE_OPTIONS.root.default}")`, { kind: 'dir', complete: 'file' }),
    'dry-run': bool('Only say what would be deleted'),
  },
  args: { min: 0 },
  async run() {
    throw new CommandError('write it as "gantry registry prune [OPTIONS]": it takes no options of the gantry command');
  },
});
