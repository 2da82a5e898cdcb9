import { errorCode } from '../../../base/errors.ts';
import type { Client } from '../../../client/client.ts';
import { type Project, selectServices, type Service } from '../../../compose/project/project.ts';
import { type Attach, Up } from '../../../compose/project/up.ts';
import { unwatchable, Watcher } from '../../../compose/watch/watcher.ts';
import { CommandError } from '../../command.ts';
import { bool } from '../../flag.ts';
import { type Compose, composeCommand } from './context.ts';
import { ensureImages } from './images.ts';
import { buildServices } from './build-service.ts';

export const watch = composeCommand({
  usage: '[SERVICE...]',
  description: `Watch build context for service and rebuild/refresh containers when files are updated

What is done for which files is written in the services' develop.watch:
sync, rebuild, restart, sync+restart, sync+exec.`,
  examples: `# Start the project, then keep its containers as the files change
gantry compose watch

# Only watch: the project runs already
gantry compose watch --no-up web`,
  flags: {
    'no-up': bool('Do not build & start services before watching'),
    prune: bool('Prune dangling images on rebuild', { initial: true }),
    quiet: bool('hide build output'),
  },
  args: { min: 0 },
  async run(compose, { flags, args }) {
    const project = await compose.projectToRun(args);
    const services = selectServices(project, args);
    const client = await compose.client();
    const named = args.length === 0 ? services : selectServices(project, args, true);
    const watcher = watcherOf(compose, client, project, named, flags);
    if (!flags['no-up']) {
      await ensureImages(compose, services, { build: 'always', pull: '', quietBuild: flags.quiet, project });
      const up = upOf(compose, client, project, services);
      await up.start(await up.create());
    }
    const stop = new AbortController();
    const end = (): void => stop.abort();
    process.once('SIGINT', end);
    process.once('SIGTERM', end);
    try {
      await watcher.run(stop.signal);
      return 130;
    } finally {
      process.off('SIGINT', end);
      process.off('SIGTERM', end);
    }
  },
});

/** Throws when there is nothing to watch. */
export function watcherOf(
  compose: Compose,
  client: Client,
  project: Project,
  services: ReadonlyMap<string, Service>,
  options: { readonly prune: boolean; readonly quiet: boolean; readonly attach?: Attach },
): Watcher {
  for (const service of services.values()) {
    const trouble = unwatchable(service);
    if (trouble !== undefined) throw new CommandError(trouble);
  }
  const watcher = new Watcher(client, project, {
    services,
    say: (message) => compose.cli.print(` ⦿ ${message}`),
    warn: (message) => compose.warn(message),
    rebuild: async (service) => {
      const before = await imageOf(client, service);
      await buildServices(compose, project, [service], { quiet: options.quiet, toRun: true });
      const only = new Map([[service.name, service]]);
      const up = upOf(compose, client, project, only);
      await up.start(await up.create(), options.attach);
      const after = await imageOf(client, service);
      // What the old one was made of has no name any more.
      if (options.prune && before !== undefined && before !== after)
        await client.images.remove(before).catch((error: unknown) => {
          if (!['not-found', 'conflict'].includes(errorCode(error))) throw error;
        });
    },
  });
  if (!watcher.watches)
    throw new CommandError(
      "none of the selected services is configured for watch, consider setting a 'develop' section",
    );
  return watcher;
}

async function imageOf(client: Client, service: Service): Promise<string | undefined> {
  return client.images.inspect(service.image).then(
    (image) => image.Id,
    (error: unknown) => {
      if (errorCode(error) !== 'not-found') throw error;
      return undefined;
    },
  );
}

function upOf(compose: Compose, client: Client, project: Project, services: ReadonlyMap<string, Service>): Up {
  return new Up(client, project, {
    services,
    recreate: 'diverged',
    removeOrphans: false,
    ignoreOrphans: true,
    renewVolumes: false,
    onProgress: compose.onProgress,
    warn: (text) => compose.warn(text),
  });
}
