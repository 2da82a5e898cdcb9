import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Dashboard } from '../../dashboard/server.ts';
import { command, CommandError } from '../command.ts';
import { bool, int } from '../flag.ts';
import { Remote } from '../remote.ts';

const MOST_REPOSITORIES = 200;

export const dashboard = command({
  usage: '[OPTIONS]',
  description: `Serve a page about the engine to this machine's browser, until Ctrl-C: containers with logs and terminals, images and what shares
their layers, builds as they run, networks, volumes with their files, compose projects, events, disk.

It listens on 127.0.0.1 only, and only the address that is printed opens it: it has a key. Over ssh: ssh -L 8080:127.0.0.1:8080.`,
  examples: `gantry dashboard
gantry dashboard --port 8080 --no-open
gantry -H ssh://root@server dashboard      # of another machine's engine`,
  flags: {
    'no-open': bool('Do not open a browser'),
    port: int('Port of this machine; any that is free when 0', { initial: 0 }),
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const page = pageDirectory(cli.self.home);
    const client = await cli.client();
    await client.apiVersion(); // an engine that does not answer is told here
    using remote = new Remote(cli);
    await using served = await Dashboard.start({
      requester: client.requester,
      page,
      port: flags.port,
      repositories: (host) => remote.catalog(host, MOST_REPOSITORIES),
    }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error;
      throw new CommandError(`port ${flags.port} is in use: take another one, or none for any that is free`);
    });
    cli.print(`The dashboard: ${served.url}`);
    cli.warn('Ctrl-C ends it.');
    if (!flags['no-open'] && cli.io.stdout.isTTY) openBrowser(served.url);
    await new Promise<void>((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
    });
    return 0;
  },
});

/** Where the bundle put the page: beside the installed command, or in `dist` of a checkout. */
function pageDirectory(home: string): string {
  const bundled = join(dirname(dirname(import.meta.dirname)), 'dashboard');
  for (const directory of [join(dirname(import.meta.dirname), 'dashboard'), bundled, join(home, 'dist/dashboard')]) {
    if (existsSync(join(directory, 'main.js'))) return directory;
  }
  throw new CommandError('the page of the dashboard is not built: run node tools/bundle.ts');
}

function openBrowser(url: string): void {
  const child = spawn('xdg-open', [url], { stdio: 'ignore', detached: true });
  child.once('error', () => {}); // there is none: the address is printed
  child.unref();
}
