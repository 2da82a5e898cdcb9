import { errorCode } from '../../../base/errors.ts';
import { timerMs } from '../../../base/time.ts';
import { stopContainer, servicesOfLabels } from '../../../compose/project/down.ts';
import type { Observed } from '../../../compose/project/observe.ts';
import { all, inDependencyOrder } from '../../../compose/project/parallel.ts';
import type { Service } from '../../../compose/project/project.ts';
import { Up, unlessGone, waitUntilReady } from '../../../compose/project/up.ts';
import { CommandError } from '../../command.ts';
import { bool, int, string } from '../../flag.ts';
import { confirm } from '../../confirm.ts';
import { type Compose, composeCommand } from './context.ts';

const TIMEOUT = int('Specify a shutdown timeout in seconds', { short: 't' });

export const stop = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: { timeout: TIMEOUT },
  args: { min: 0 },
  async run(compose, { flags, given, args }) {
    const client = await compose.client();
    await each(compose, args, { reverse: true, running: true }, (item, service) =>
      stopContainer(client, item, service, {
        timeoutSeconds: given.has('timeout') ? flags.timeout : undefined,
        onProgress: compose.onProgress,
      }),
    );
    return 0;
  },
});

export const start = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    wait: bool('Wait for services to be running|healthy. Implies detached mode.'),
    'wait-timeout': int('Maximum duration in seconds to wait for the project to be running|healthy'),
  },
  args: { min: 0 },
  async run(compose, { flags, given, args }) {
    const { containers, project } = await compose.containers(args);
    if (containers.length === 0)
      throw new CommandError(
        args.length > 0 ? `service "${args[0]}" has no container to start` : 'no container to start',
      );
    const client = await compose.client();
    const ids = new Map<string, string[]>();
    for (const item of containers) ids.set(item.service, [...(ids.get(item.service) ?? []), item.id]);
    const services = known(project?.services, containers);
    if (!project) {
      await inDependencyOrder(services, (service) =>
        all(ids.get(service.name) ?? [], (id) => client.containers.start(id).catch(unlessGone)),
      );
    } else
      await new Up(client, project, {
        services,
        recreate: 'never',
        removeOrphans: false,
        renewVolumes: false,
        onProgress: compose.onProgress,
        warn: (text) => compose.warn(text),
      }).start(ids);
    if (flags.wait)
      await waitUntilReady(
        client,
        services,
        ids,
        compose.onProgress,
        given.has('wait-timeout') ? AbortSignal.timeout(timerMs(flags['wait-timeout'] * 1000)) : undefined,
      );
    return 0;
  },
});

export const restart = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: { 'no-deps': bool("Don't restart dependent services"), timeout: TIMEOUT },
  args: { min: 0 },
  async run(compose, { flags, given, args }) {
    const client = await compose.client();
    const { project } = await compose.projectOrName(args);
    const dependents =
      flags['no-deps'] || args.length === 0
        ? []
        : [...(project?.services.values() ?? [])]
            .filter(
              (service) =>
                !args.includes(service.name) &&
                [...service.dependencies].some(([name, how]) => how.restart && args.includes(name)),
            )
            .map((service) => service.name);
    await each(compose, [...args, ...dependents], {}, async (item) => {
      compose.onProgress({ kind: 'Container', name: item.name, status: 'Restarting' });
      await client.containers.restart(item.id, { timeoutSeconds: given.has('timeout') ? flags.timeout : undefined });
      compose.onProgress({ kind: 'Container', name: item.name, status: 'Started' });
    });
    return 0;
  },
});

export const kill = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    'remove-orphans': bool('Remove containers for services not defined in the Compose file'),
    signal: string('SIGNAL to send to the container', { short: 's', initial: 'SIGKILL' }),
  },
  args: { min: 0 },
  async run(compose, { flags, args }) {
    const client = await compose.client();
    await each(compose, args, { running: true, oneOffs: true }, async (item) => {
      compose.onProgress({ kind: 'Container', name: item.name, status: 'Killing' });
      await client.containers.kill(item.id, flags.signal);
      compose.onProgress({ kind: 'Container', name: item.name, status: 'Killed' });
    });
    if (flags['remove-orphans']) {
      const { containers, project } = await compose.containers([]);
      await all(
        containers.filter((item) => project !== undefined && !project.services.has(item.service)),
        (item) => client.containers.remove(item.id, { force: true }),
      );
    }
    return 0;
  },
});

export const pause = composeCommand({
  usage: '[SERVICE...]',
  flags: {},
  args: { min: 0 },
  async run(compose, { args }) {
    const client = await compose.client();
    await each(compose, args, { running: true }, async (item) => {
      await client.containers.pause(item.id);
      compose.onProgress({ kind: 'Container', name: item.name, status: 'Paused' });
    });
    return 0;
  },
});

export const unpause = composeCommand({
  usage: '[SERVICE...]',
  flags: {},
  args: { min: 0 },
  async run(compose, { args }) {
    const client = await compose.client();
    await each(compose, args, {}, async (item) => {
      if (item.summary.State !== 'paused') return;
      await client.containers.unpause(item.id);
      compose.onProgress({ kind: 'Container', name: item.name, status: 'Unpaused' });
    });
    return 0;
  },
});

export const rm = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    force: bool("Don't ask to confirm removal", { short: 'f' }),
    stop: bool('Stop the containers, if required, before removing', { short: 's' }),
    volumes: bool('Remove any anonymous volumes attached to containers', { short: 'v' }),
  },
  args: { min: 0 },
  async run(compose, { flags, args }) {
    const client = await compose.client();
    if (flags.stop)
      await each(compose, args, { reverse: true, running: true }, (item, service) =>
        stopContainer(client, item, service, { onProgress: compose.onProgress }),
      );
    const { containers } = await compose.containers(args, { oneOffs: true });
    const stopped = containers.filter((item) => !['running', 'paused', 'restarting'].includes(item.summary.State));
    if (stopped.length === 0) {
      compose.cli.warn('No stopped containers');
      return 0;
    }
    compose.cli.print(`Going to remove ${stopped.map((item) => item.name).join(', ')}`);
    if (!flags.force && !(await confirm(compose.cli, 'Are you sure?'))) return 0;
    await all(stopped, async (item) => {
      compose.onProgress({ kind: 'Container', name: item.name, status: 'Removing' });
      await client.containers.remove(item.id, { volumes: flags.volumes }).catch((error: unknown) => {
        if (errorCode(error) !== 'not-found') throw error;
      });
      compose.onProgress({ kind: 'Container', name: item.name, status: 'Removed' });
    });
    return 0;
  },
});

/** Does something to the containers of services, in the order of their dependencies. */
async function each(
  compose: Compose,
  names: readonly string[],
  options: { readonly reverse?: boolean; readonly running?: boolean; readonly oneOffs?: boolean },
  work: (item: Observed, service: Service | undefined) => Promise<void>,
): Promise<void> {
  const { containers, project } = await compose.containers(names, { oneOffs: options.oneOffs === true });
  const chosen = containers.filter(
    (item) => options.running !== true || ['running', 'paused', 'restarting'].includes(item.summary.State),
  );
  await inDependencyOrder(
    known(project?.services, chosen),
    (service) =>
      all(
        chosen.filter((item) => item.service === service.name),
        (item) => work(item, project?.services.get(service.name)),
      ),
    { reverse: options.reverse === true },
  );
}

/** Services of the model, and those that only the containers' labels know. */
function known(
  services: ReadonlyMap<string, Service> | undefined,
  containers: readonly Observed[],
): Map<string, Service> {
  const labelled = servicesOfLabels(containers);
  return new Map([...labelled].map(([name, service]) => [name, services?.get(name) ?? service]));
}
