import { errorCode } from '../../base/errors.ts';
import type { NetworkInspect } from '../../api/network.ts';
import type { Client } from '../../client/client.ts';
import { ownSecrets, removeSecrets } from './engine-secrets.ts';
import { runHooks } from './hooks.ts';
import { LABEL } from './labels.ts';
import { type Observed, observe } from './observe.ts';
import { all, inDependencyOrder } from './parallel.ts';
import type { OnProgress } from './progress.ts';
import type { Service } from './project.ts';
import { removeProvided, type RunProvider } from './providers.ts';
import { unlessGone } from './up.ts';

export interface DownOptions {
  readonly project: string;
  /** The model's services; undefined when there is no file: then the containers' labels tell their order. */
  readonly services: ReadonlyMap<string, Service> | undefined;
  /** Only these. */
  readonly named?: ReadonlySet<string> | undefined;
  readonly volumes: boolean;
  readonly removeImages: '' | 'local' | 'all';
  readonly removeOrphans: boolean;
  readonly timeoutSeconds?: number | undefined;
  readonly onProgress: OnProgress;
  readonly externalVolumes: ReadonlySet<string>;
  readonly providers?: RunProvider | undefined;
}

/** Stops and removes a project's containers, dependents first, then its networks, and volumes when asked for. Idempotent. */
export async function down(client: Client, options: DownOptions): Promise<void> {
  const { onProgress, named } = options;
  const [observed, secrets] = await Promise.all([
    observe(client, options.project),
    named ? [] : ownSecrets(client, options.project),
  ]);
  const everything = [...observed.containers, ...observed.oneOffs];
  const services = options.services ?? servicesOfLabels(everything);
  const taken = new Set<string>();
  const others = everything.filter((item) => !services.has(item.service));
  // What is not stopped in the order of services, or by us, is on the networks until the last.
  const othersRemain = named !== undefined || others.length > 0 || options.providers !== undefined;
  // What a container depends on may stop as soon as it has stopped, whether it is gone already or not.
  const removals: Promise<void>[] = [];
  const later = (removal: Promise<void>): void => {
    removal.catch(() => {}); // thrown below, when the others have ended
    removals.push(removal);
  };
  try {
    await inDependencyOrder(
      services,
      async (service) => {
        if (named && !named.has(service.name)) return;
        const own = everything.filter((item) => item.service === service.name);
        for (const item of own) taken.add(item.id);
        await all(own, async (item) => {
          await stopContainer(client, item, service, options);
          later(removeContainer(client, item, options));
        });
      },
      { reverse: true },
    );
    // A network can go when nothing runs on it, whether what ran is gone already or not.
    if (!othersRemain) for (const network of observed.networks) later(removeNetwork(client, network, onProgress));
  } finally {
    await Promise.allSettled(removals);
  }
  await Promise.all(removals);
  if (options.providers) {
    const chosen = new Map([...services].filter(([name]) => !named || named.has(name)));
    await removeProvided({ name: options.project }, chosen, options.providers, onProgress);
  }
  if (options.removeOrphans && !named)
    await all(
      everything.filter((item) => !taken.has(item.id)),
      async (item) => {
        await stopContainer(client, item, undefined, options);
        await removeContainer(client, item, options);
      },
    );
  if (named) return;
  await removeSecrets(client, secrets, onProgress);
  if (othersRemain) await all([...observed.networks], (network) => removeNetwork(client, network, onProgress));
  if (options.volumes)
    await all([...observed.volumes], async ({ Name: name }) => {
      if (options.externalVolumes.has(name)) return;
      onProgress({ kind: 'Volume', name, status: 'Removing' });
      await client.volumes.remove(name, { force: true }).then(
        () => onProgress({ kind: 'Volume', name, status: 'Removed' }),
        (error: unknown) => {
          if (errorCode(error) !== 'conflict') throw error;
          onProgress({ kind: 'Volume', name, status: 'Resource is still in use' });
        },
      );
    });
  if (options.removeImages === '') return;
  const images = new Set(
    [...services.values()]
      .filter((service) => options.removeImages === 'all' || (service.builds && service.model['image'] === undefined))
      .map((service) => service.image),
  );
  await all([...images], async (image) => {
    onProgress({ kind: 'Image', name: image, status: 'Removing' });
    await client.images.remove(image).then(
      () => onProgress({ kind: 'Image', name: image, status: 'Removed' }),
      (error: unknown) =>
        onProgress({
          kind: 'Image',
          name: image,
          status:
            errorCode(error) === 'not-found' ? 'Warning: No resource found to remove' : 'Resource is still in use',
        }),
    );
  });
}

async function removeNetwork(client: Client, network: NetworkInspect, onProgress: OnProgress): Promise<void> {
  const told = (status: string): void => onProgress({ kind: 'Network', name: network.Name, status });
  told('Removing');
  try {
    await client.networks.remove(network.Id);
  } catch (error) {
    if (['conflict', 'forbidden'].includes(errorCode(error))) return told('Resource is still in use');
    if (errorCode(error) !== 'not-found') throw error;
  }
  told('Removed');
}

async function removeContainer(client: Client, item: Observed, options: DownOptions): Promise<void> {
  options.onProgress({ kind: 'Container', name: item.name, status: 'Removing' });
  await client.containers.remove(item.id, { force: true, volumes: options.volumes }).catch((error: unknown) => {
    // Another command is at it already.
    if (errorCode(error) !== 'conflict' || !/already in progress/.test((error as Error).message)) unlessGone(error);
  });
  options.onProgress({ kind: 'Container', name: item.name, status: 'Removed' });
}

/** After the service's `pre_stop` hooks. Idempotent. */
export async function stopContainer(
  client: Client,
  item: Observed,
  service: Service | undefined,
  options: { readonly timeoutSeconds?: number | undefined; readonly onProgress: OnProgress },
): Promise<void> {
  options.onProgress({ kind: 'Container', name: item.name, status: 'Stopping' });
  if (service && item.summary.State === 'running') await runHooks(client, service, 'pre_stop', item.id);
  await client.containers.stop(item.id, { timeoutSeconds: options.timeoutSeconds }).catch(unlessGone);
  options.onProgress({ kind: 'Container', name: item.name, status: 'Stopped' });
}

/** What can be known of a project without its files: services and their dependencies, from the labels. */
export function servicesOfLabels(containers: readonly Observed[]): Map<string, Service> {
  const found = new Map<string, Service>();
  for (const { service: name, summary } of containers) {
    if (found.has(name)) continue;
    const written = (summary.Labels[LABEL.dependsOn] ?? '').split(',').filter((item) => item !== '');
    found.set(name, {
      name,
      model: {},
      replicas: 1,
      builds: false,
      image: summary.Image,
      dependencies: new Map(
        written.map((item) => [
          item.split(':')[0]!,
          { condition: 'service_started', restart: item.split(':')[2] === 'true', required: false },
        ]),
      ),
    });
  }
  return found;
}
