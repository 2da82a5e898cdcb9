import type { MountRequest } from '../../api/container.ts';
import { EngineError, errorCode } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';
import { asDict, asList, asText, type Dict, textOf } from '../../compose/model/value.ts';
import { containerRequest } from './container.ts';
import { INFRA_IMAGE, infraRequest } from './infra.ts';
import { KUBE_LABEL } from './labels.ts';
import type { PlayObjects, PodTemplate } from './objects.ts';
import { PodVolumes } from './volumes.ts';

/** Pods find each other there by their names and their Services'. */
export const KUBE_NETWORK = 'gantry-kube';

export interface PlayOptions {
  /** Instead of `gantry-kube`. */
  readonly network: string;
  /** Make the containers, and start none. */
  readonly start: boolean;
  /** Has an image at hand, by the policy of a container: `Always`, `IfNotPresent`, `Never`. */
  readonly ensureImage: (image: string, policy: string) => Promise<void>;
  readonly warn: (message: string) => void;
  readonly signal?: AbortSignal;
}

export interface PlayedPod {
  readonly name: string;
  readonly infra: string;
  readonly containers: readonly string[];
}

/**
 * Plays pods on the engine: for each its infra container, the init containers one after the other, then all the others. All
 * pods at once, since one's init containers may wait for another. A pod that fails leaves nothing but volumes of claims.
 * Throws `already-exists` for a pod that is there.
 */
export async function playPods(client: Client, objects: PlayObjects, options: PlayOptions): Promise<PlayedPod[]> {
  for (const pod of objects.pods) {
    if ((await podContainers(client, pod.name)).length > 0)
      throw new EngineError(
        'already-exists',
        `pod ${pod.name} exists: replace it (--replace), or take it down first (--down)`,
      );
  }
  const images = new Map<string, string>([[INFRA_IMAGE, 'IfNotPresent']]);
  for (const pod of objects.pods)
    for (const container of containersOf(pod, true))
      images.set(textOf(container['image']), asText(container['imagePullPolicy']) ?? 'IfNotPresent');
  for (const [image, policy] of images) await options.ensureImage(image, policy);
  if (options.network === KUBE_NETWORK) await ensureNetwork(client);
  const failed = new AbortController();
  const signal = AbortSignal.any([failed.signal, ...(options.signal ? [options.signal] : [])]);
  let first: Error | undefined;
  const results = await Promise.allSettled(
    objects.pods.map((pod) =>
      playPod(client, objects, pod, { ...options, signal }).catch((error: unknown) => {
        first ??= error as Error;
        failed.abort(error); // others may wait for this one for ever
        throw error;
      }),
    ),
  );
  if (first !== undefined) {
    for (const pod of objects.pods) await downPod(client, pod.name, { volumes: false });
    throw first;
  }
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

async function playPod(
  client: Client,
  objects: PlayObjects,
  pod: PodTemplate,
  options: PlayOptions,
): Promise<PlayedPod> {
  const volumes = new PodVolumes(client, objects, pod);
  await volumes.make();
  const request = infraRequest(pod, objects, options.network, options.warn);
  const { Id: infra } = await client.containers.create(request, { name: `${pod.name}-infra` });
  // namespaces are joined by what runs: without a start there is no infra to run
  if (options.start) await client.containers.start(infra);
  const make = async (container: Dict, role: 'init' | 'app'): Promise<string> => {
    const wanted = { pod, objects, container, role, infra, mounts: volumes.of(container), warn: options.warn };
    const name = `${pod.name}-${textOf(container['name'])}`;
    const { Id, Warnings } = await client.containers.create(containerRequest(wanted), { name });
    for (const warning of Warnings ?? []) options.warn(warning);
    const parts = wanted.mounts.mounts.filter(({ BindOptions }) => BindOptions?.Subpath !== undefined);
    if (parts.length > 0) await requireParts(client, Id, parts);
    return Id;
  };
  const sidecars: string[] = [];
  for (const container of asList(pod.spec['initContainers']).map(asDict)) {
    // one that is always restarted runs beside the others
    const sidecar = asText(container['restartPolicy']) === 'Always';
    const id = await make(container, sidecar ? 'app' : 'init');
    if (sidecar) sidecars.push(id);
    if (!options.start) continue;
    if (sidecar) await client.containers.start(id);
    else await runInit(client, pod, container, id, options.signal);
  }
  const ids: string[] = [];
  for (const container of asList(pod.spec['containers']).map(asDict)) ids.push(await make(container, 'app'));
  if (options.start) for (const id of ids) await client.containers.start(id);
  return { name: pod.name, infra, containers: [...sidecars, ...ids] };
}

/** An engine that does not know a part of a bind mounts the whole of it, without a word. */
async function requireParts(client: Client, id: string, parts: readonly MountRequest[]): Promise<void> {
  const { HostConfig } = await client.containers.inspect(id);
  for (const { Source = '', Target, BindOptions } of parts) {
    const made = HostConfig.Mounts?.find((mount) => mount.Target === Target);
    if (made?.BindOptions?.Subpath === BindOptions?.Subpath) continue;
    throw new EngineError(
      'unimplemented',
      `this engine would mount all of ${Source} at ${Target}: a subPath of a hostPath needs a Gantry engine`,
    );
  }
}

async function runInit(
  client: Client,
  pod: PodTemplate,
  container: Dict,
  id: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { outcome } = await client.containers.wait(id, 'next-exit', signal);
  await client.containers.start(id);
  const { StatusCode } = await outcome;
  if (StatusCode !== 0) {
    const words = await lastWords(client, id);
    throw new EngineError(
      'conflict',
      `pod ${pod.name}: init container ${textOf(container['name'])} ended with code ${StatusCode}, and nothing of the pod was kept${words === '' ? '' : `. It said:\n${words}`}`,
    );
  }
  await client.containers.remove(id, { force: true });
}

/** The end of what a container printed. */
async function lastWords(client: Client, id: string): Promise<string> {
  const parts: Buffer[] = [];
  for await (const { data } of await client.containers.logs(id, { tail: '10' }, false)) parts.push(Buffer.from(data));
  return Buffer.concat(parts).toString('utf8').trimEnd();
}

function containersOf(pod: PodTemplate, init: boolean): Dict[] {
  return [...(init ? asList(pod.spec['initContainers']) : []), ...asList(pod.spec['containers'])].map(asDict);
}

async function ensureNetwork(client: Client): Promise<void> {
  const found = await client.networks.inspect(KUBE_NETWORK).catch((error: unknown) => {
    if (errorCode(error) !== 'not-found') throw error;
    return undefined;
  });
  if (found) return;
  await client.networks
    .create({ Name: KUBE_NETWORK, Labels: { [KUBE_LABEL.role]: 'network' } })
    .catch((error: unknown) => {
      if (!['conflict', 'already-exists'].includes(errorCode(error))) throw error;
    });
}

/** Those of a pod, the infra container last. */
export async function podContainers(
  client: Client,
  pod: string,
): Promise<{ readonly id: string; readonly name: string; readonly role: string; readonly running: boolean }[]> {
  const found = await client.containers.list({
    all: true,
    filters: new Map([['label', [`${KUBE_LABEL.pod}=${pod}`]]]),
  });
  return found
    .map(({ Id, Names, Labels, State }) => ({
      id: Id,
      name: (Names[0] ?? '').replace(/^\//, ''),
      role: Labels[KUBE_LABEL.role] ?? 'app',
      running: State === 'running',
    }))
    .sort((a, b) => Number(a.role === 'infra') - Number(b.role === 'infra'));
}

/** Removes a pod with its secrets and own volumes; volumes of claims only when asked. Idempotent; false when there was nothing. */
export async function downPod(
  client: Client,
  pod: string,
  options: { readonly volumes: boolean; readonly claims?: readonly string[] },
): Promise<boolean> {
  const containers = await podContainers(client, pod);
  for (const { id, role } of containers) {
    if (role !== 'infra') await client.containers.stop(id).catch(unless('not-found', 'not-modified'));
    await client.containers.remove(id, { force: true, volumes: true }).catch(unless('not-found'));
  }
  const label = new Map([['label', [`${KUBE_LABEL.pod}=${pod}`]]]);
  for (const { Name } of (await client.volumes.list(label)).Volumes ?? [])
    await client.volumes.remove(Name, { force: true }).catch(unless('not-found'));
  for (const { ID } of (await client.secrets.listOwn(label)) ?? [])
    await client.secrets.remove(ID).catch(unless('not-found', 'conflict'));
  if (options.volumes)
    for (const claim of options.claims ?? [])
      await client.volumes.remove(claim, { force: true }).catch(unless('not-found', 'conflict'));
  return containers.length > 0;
}

/** Removes the network of played pods once none is left. */
export async function dropNetwork(client: Client): Promise<void> {
  await client.networks.remove(KUBE_NETWORK).catch(unless('not-found', 'conflict', 'forbidden'));
}

function unless(...codes: readonly string[]): (error: unknown) => void {
  return (error) => {
    if (!codes.includes(errorCode(error))) throw error;
  };
}
