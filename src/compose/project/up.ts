import type { PortBinding } from '../../api/network.ts';
import { EngineError, errorCode } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';
import { parseDuration } from '../model/units.ts';
import { asDict, asList, asText, textOf } from '../model/value.ts';
import { containerRequest, type RequestContext, sortedNetworks } from './container-request.ts';
import { checkSecrets, engineSecrets } from './engine-secrets.ts';
import { runHooks } from './hooks.ts';
import { ImageIds } from './image-ids.ts';
import { initSteps, runInitStep } from './init-steps.ts';
import { LABEL } from './labels.ts';
import { type Observed, observe, type ObservedProject } from './observe.ts';
import { all, inDependencyOrder } from './parallel.ts';
import { isTemporary, planContainers, type Step } from './plan.ts';
import type { OnProgress } from './progress.ts';
import { type Project, type Service, sharedServices } from './project.ts';
import { makeProvided, type RunProvider } from './providers.ts';
import { checkExternal, createResources, presentNetworks } from './resources.ts';
import { type Replacement, RollingUpdate, updatePolicy } from './rolling.ts';
import { boundFiles, checkFiles, injectFiles } from './secrets.ts';
import { checkEngine, checkSupported } from './support.ts';
import { healthOf, waitFor } from './wait.ts';

/** Called for every container before it starts. */
export type Attach = (service: Service, id: string) => Promise<void>;

export interface UpOptions {
  readonly services: ReadonlyMap<string, Service>;
  /** Those that were named; undefined: all. */
  readonly named?: ReadonlySet<string>;
  readonly recreate: 'diverged' | 'force' | 'never';
  readonly recreateDependencies?: 'diverged' | 'force' | 'never';
  readonly removeOrphans: boolean;
  readonly ignoreOrphans?: boolean;
  readonly renewVolumes: boolean;
  readonly timeoutSeconds?: number | undefined;
  readonly onProgress: OnProgress;
  readonly warn: (message: string) => void;
  readonly signal?: AbortSignal | undefined;
  readonly images?: ImageIds | undefined;
  /** Undefined where services of providers are left as they are. */
  readonly providers?: RunProvider | undefined;
}

/** Brings a project's resources and containers to what its files say, and starts nothing. Can be run again after any failure. */
export class Up {
  readonly #client: Client;
  readonly #project: Project;
  readonly #options: UpOptions;
  readonly #imageIds: ImageIds;
  /** Those that need no start, by id: their names. */
  readonly #running = new Map<string, string>();
  /** Names of containers that were made here and not started yet, by id. */
  readonly #made = new Map<string, string>();
  readonly #rolling = new Map<string, Replacement[]>();
  #observing: Promise<ObservedProject> | undefined;

  constructor(client: Client, project: Project, options: UpOptions) {
    this.#client = client;
    this.#project = project;
    this.#options = options;
    this.#imageIds = options.images ?? new ImageIds(client);
  }

  /** Asks the engine what there is, while the caller does something else; `stale` when that has changed it. */
  lookAhead(): void {
    this.#observing = observe(this.#client, this.#project.name);
    this.#observing.catch(() => {}); // thrown where it is waited for
  }

  stale(): void {
    this.#observing = undefined;
  }

  /** What would be done, with reasons. Changes nothing. */
  async plan(): Promise<Step[]> {
    const observed = await observe(this.#client, this.#project.name);
    const { ids } = await presentNetworks(this.#client, this.#project, observed);
    return this.#planOf(observed, ids);
  }

  /** Creates, recreates and removes containers. Gives every container that should run, by service. */
  async create(): Promise<Map<string, string[]>> {
    const { services, onProgress } = this.#options;
    for (const service of services.values()) {
      checkSupported(service);
      checkFiles(this.#project, service);
    }
    await checkEngine(this.#client, services.values());
    await checkExternal(this.#client, this.#project);
    await checkSecrets(this.#client, this.#project, services.values());
    if (this.#options.providers) await makeProvided(this.#project, services, this.#options.providers, onProgress);
    let observed = await (this.#observing ?? observe(this.#client, this.#project.name));
    this.#observing = undefined;
    await this.#orphans(observed);
    const { ids, changed } = await presentNetworks(this.#client, this.#project, observed);
    for (const key of changed)
      await this.#dropNetwork(textOf(asDict(asDict(this.#project.model['networks'])[key])['name']), observed);
    if (changed.length > 0) observed = await observe(this.#client, this.#project.name);
    const steps = await this.#planOf(observed, ids);
    await createResources(this.#client, this.#project, ids, observed, onProgress);
    const containers = new Map<string, string[]>();
    for (const item of observed.containers)
      if (!services.has(item.service)) containers.set(item.service, [...(containers.get(item.service) ?? []), item.id]);
    const images = await this.#images();
    // Only what shares something with another's container needs that one first.
    const order = new Map(
      [...services].map(([name, service]) => [name, { ...service, dependencies: borrowed(service) }]),
    );
    await inDependencyOrder(
      order,
      async ({ name: key }) => {
        const service = services.get(key)!;
        const made: string[] = [];
        containers.set(service.name, made);
        const own = steps.filter((step) => step.service === service.name);
        const apply = async (step: Step): Promise<void> => {
          const id = await this.#apply(step, service, containers, images);
          if (id !== undefined) made.push(id);
        };
        // What goes may have the name that another is to get.
        await all(
          own.filter((step) => step.kind === 'remove'),
          apply,
        );
        await all(
          own.filter((step) => step.kind !== 'remove'),
          apply,
        );
      },
      { signal: this.#options.signal },
    );
    return containers;
  }

  /** Starts containers once what they depend on is as they want it. */
  async start(containers: Map<string, string[]>, attach?: Attach): Promise<void> {
    const { services, signal } = this.#options;
    await inDependencyOrder(
      services,
      async (service) => {
        await this.waitForDependencies(service, containers);
        await this.#initialize(service, containers.get(service.name) ?? [], containers);
        const rolling = new Set((this.#rolling.get(service.name) ?? []).map((step) => step.old.id));
        await all(
          (containers.get(service.name) ?? []).filter((id) => !rolling.has(id)),
          (id) => this.#startOne(service, id, attach),
        );
        if (rolling.size > 0) await this.#update(service, containers, attach);
      },
      { signal },
    );
  }

  /** Until all that a service depends on is as it wants it. */
  async waitForDependencies(service: Service, containers: ReadonlyMap<string, readonly string[]>): Promise<void> {
    const { onProgress, signal, warn } = this.#options;
    for (const [name, how] of service.dependencies) {
      if (how.condition === 'service_started') continue;
      const ids = containers.get(name) ?? [];
      try {
        await all(ids, (id) => waitFor(this.#client, id, how.condition, onProgress, signal));
      } catch (error) {
        if (how.required) throw error;
        warn(`optional dependency ${JSON.stringify(name)} failed to start: ${(error as Error).message}`);
      }
    }
  }

  /** Runs `pre_start` steps for containers that never ran: once for the first, or for each of them. */
  async #initialize(
    service: Service,
    ids: readonly string[],
    containers: ReadonlyMap<string, readonly string[]>,
  ): Promise<void> {
    const steps = initSteps(service);
    if (steps.length === 0) return;
    const inspected = await Promise.all(
      ids.filter((id) => !this.#running.has(id)).map((id) => this.#client.containers.inspect(id)),
    );
    const fresh = inspected
      .filter(({ State: state }) => state.Status === 'created')
      .map(({ Config: config }) => Number(config.Labels?.[LABEL.containerNumber] ?? 1))
      .sort((a, b) => a - b);
    for (const step of steps)
      for (const number of step.perReplica ? fresh : fresh.filter((one) => one === 1)) {
        const name = `${this.#project.name}-${service.name}-${number}-pre_start-${step.index + 1}`;
        await this.#client.containers.remove(name, { force: true }).catch(unlessGone); // one that failed
        this.#options.onProgress({ kind: 'Container', name, status: 'Running' });
        const id = await this.#make(step.service, name, number, containers, new Map(), {
          oneOff: true,
          aliases: false,
        });
        await runInitStep(this.#client, id, name);
        this.#options.onProgress({ kind: 'Container', name, status: 'Done' });
      }
  }

  /** Replaces containers that run, as `deploy.update_config` says. Their ids change in `containers`. */
  async #update(service: Service, containers: Map<string, string[]>, attach: Attach | undefined): Promise<void> {
    const { onProgress, timeoutSeconds, signal } = this.#options;
    const steps = this.#rolling.get(service.name) ?? [];
    const images = await this.#images();
    const update = new RollingUpdate(
      this.#client,
      updatePolicy(service)!,
      {
        make: async (step, name, withoutPorts) => {
          await this.#client.containers.remove(name, { force: true }).catch(unlessGone);
          const inherited = this.#options.renewVolumes ? undefined : await this.#anonymousVolumes(step.old, service);
          const ports: Record<string, PortBinding[]> = {};
          const id = await this.#make(service, name, step.number, containers, images, {
            replaces: step.old.name,
            ...(inherited ? { inherited } : {}),
            ...(withoutPorts ? { withhold: ports } : {}),
          });
          return { id, ports };
        },
        start: async (id) => {
          await this.#initialize(service, [id], containers);
          await this.#startOne(service, id, attach);
        },
        ready: async (id) => {
          const condition = (await healthOf(this.#client, id)) === 'none' ? 'service_started' : 'service_healthy';
          await waitFor(this.#client, id, condition, onProgress, signal);
        },
        stop: async ({ old }) => {
          await runHooks(this.#client, service, 'pre_stop', old.id);
          await this.#client.containers.stop(old.id, { timeoutSeconds }).catch(unlessGone);
        },
      },
      onProgress,
    );
    const old = new Set(steps.map((step) => step.old.id));
    const made = await update.run(service.name, steps);
    containers.set(service.name, [...(containers.get(service.name) ?? []).filter((id) => !old.has(id)), ...made]);
  }

  async #startOne(service: Service, id: string, attach: Attach | undefined): Promise<void> {
    const { onProgress } = this.#options;
    const running = attach ? undefined : this.#running.get(id);
    if (running !== undefined) {
      onProgress({ kind: 'Container', name: running, status: 'Running' });
      return;
    }
    const made = this.#made.get(id);
    this.#made.delete(id);
    const inspected = made === undefined ? await this.#client.containers.inspect(id) : undefined;
    const name = made ?? inspected!.Name.slice(1);
    if (attach) await attach(service, id);
    if (inspected?.State.Running) {
      onProgress({ kind: 'Container', name, status: 'Running' });
      return;
    }
    onProgress({ kind: 'Container', name, status: 'Starting' });
    await this.#client.containers.start(id).catch((error: unknown) => {
      if (errorCode(error) !== 'not-modified') throw error;
    });
    await runHooks(this.#client, service, 'post_start', id);
    onProgress({ kind: 'Container', name, status: 'Started' });
  }

  async #planOf(observed: ObservedProject, networks: ReadonlyMap<string, string>): Promise<Step[]> {
    const { services, named, recreate, recreateDependencies } = this.#options;
    return planContainers(this.#project, {
      services,
      images: await this.#images(),
      networks,
      containers: observed.containers,
      recreate,
      ...(recreateDependencies === undefined ? {} : { recreateDependencies }),
      ...(named === undefined ? {} : { named }),
    });
  }

  async #images(): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    await all([...this.#options.services.values()], async (service) => {
      const id = await this.#imageIds.get(service.image);
      if (id !== undefined) found.set(service.name, id);
    });
    return found;
  }

  async #apply(
    step: Step,
    service: Service,
    containers: ReadonlyMap<string, readonly string[]>,
    images: ReadonlyMap<string, string>,
  ): Promise<string | undefined> {
    const { onProgress } = this.#options;
    switch (step.kind) {
      case 'keep':
        // Left by an update that was interrupted before it gave the new container its name.
        if (isTemporary(step.old.name) && step.name !== step.old.name)
          await this.#client.containers.rename(step.old.id, step.name);
        if (step.old.summary.State === 'running') this.#running.set(step.old.id, step.name);
        return step.old.id;
      case 'remove':
        await this.#remove(step.old);
        return undefined;
      case 'create': {
        onProgress({ kind: 'Container', name: step.name, status: 'Creating', reason: step.reason });
        const id = await this.#make(service, step.name, step.number, containers, images);
        this.#made.set(id, step.name);
        onProgress({ kind: 'Container', name: step.name, status: 'Created' });
        return id;
      }
      case 'recreate': {
        // It goes on running until `start` updates it, one batch after the other.
        if (updatePolicy(service) && step.old.summary.State === 'running') {
          this.#rolling.set(service.name, [...(this.#rolling.get(service.name) ?? []), step]);
          this.#running.set(step.old.id, step.old.name);
          return step.old.id;
        }
        onProgress({ kind: 'Container', name: step.name, status: 'Recreate', reason: step.reason });
        const id = await this.#replace(step, service, containers, images);
        this.#made.set(id, step.name);
        onProgress({ kind: 'Container', name: step.name, status: 'Recreated' });
        return id;
      }
    }
  }

  /** The new one is made beside the old, so that a failure leaves the old as it was; then it takes its name. */
  async #replace(
    step: Step & { kind: 'recreate' },
    service: Service,
    containers: ReadonlyMap<string, readonly string[]>,
    images: ReadonlyMap<string, string>,
  ): Promise<string> {
    const { old } = step;
    const temporary = `${old.id.slice(0, 12)}_${step.name}`;
    // Left by an attempt that was interrupted between making and renaming.
    await this.#client.containers.remove(temporary, { force: true }).catch((error: unknown) => {
      if (errorCode(error) !== 'not-found') throw error;
    });
    const inherited = this.#options.renewVolumes ? undefined : await this.#anonymousVolumes(old, service);
    const id = await this.#make(service, temporary, step.number, containers, images, {
      replaces: old.name,
      ...(inherited ? { inherited } : {}),
    });
    await this.#client.containers.stop(old.id, { timeoutSeconds: this.#options.timeoutSeconds }).catch(unlessGone);
    await this.#client.containers.remove(old.id, { force: true }).catch(unlessGone);
    await this.#client.containers.rename(id, step.name);
    return id;
  }

  async #make(
    service: Service,
    name: string,
    number: number,
    containers: ReadonlyMap<string, readonly string[]>,
    images: ReadonlyMap<string, string>,
    more: Partial<RequestContext> = {},
  ): Promise<string> {
    const bound = boundFiles(this.#project, service);
    const request = containerRequest(bound.length === 0 ? service : withMounts(service, bound), {
      project: this.#project,
      number,
      imageId: images.get(service.name),
      containerOf: (other) => {
        const id = containers.get(other)?.[0];
        if (id === undefined)
          throw new EngineError(
            'not-found',
            `service ${service.name} needs a container of ${other}, and there is none`,
          );
        return id;
      },
      ...more,
    });
    // The fingerprint is that of the service as written.
    request.Labels![LABEL.configHash] = containerRequest(service, {
      project: this.#project,
      number,
      imageId: undefined,
      containerOf: () => 'x',
    }).Labels![LABEL.configHash]!;
    const secrets = await engineSecrets(this.#client, this.#project, service, this.#options.onProgress);
    if (secrets?.length) request.HostConfig!.Secrets = secrets;
    const { Id: id } = await connectable(
      this.#client,
      request,
      { name, platform: asText(service.model['platform']) },
      sortedNetworks(service).length,
    );
    try {
      await injectFiles(this.#client, this.#project, service, id, { secretsToo: secrets === undefined });
    } catch (error) {
      await this.#client.containers.remove(id, { force: true, volumes: true }).catch(unlessGone);
      throw error;
    }
    return id;
  }

  /** Targets of the old container's anonymous volumes: their data goes on in the new one. */
  async #anonymousVolumes(old: Observed, service: Service): Promise<Map<string, string>> {
    const inspected = await this.#client.containers.inspect(old.id);
    const declared = new Map(
      asList(service.model['volumes'])
        .map(asDict)
        .map((mount) => [textOf(mount['target']), mount]),
    );
    return new Map(
      inspected.Mounts.filter((mount) => {
        if (mount.Type !== 'volume' || !/^[0-9a-f]{64}$/.test(mount.Name ?? '')) return false;
        const now = declared.get(mount.Destination);
        return now === undefined || (now['type'] === 'volume' && now['source'] === undefined);
      }).map((mount) => [mount.Destination, mount.Name!]),
    );
  }

  async #remove(old: Observed): Promise<void> {
    const { onProgress, timeoutSeconds } = this.#options;
    onProgress({ kind: 'Container', name: old.name, status: 'Stopping' });
    await this.#client.containers.stop(old.id, { timeoutSeconds }).catch(unlessGone);
    onProgress({ kind: 'Container', name: old.name, status: 'Stopped' });
    onProgress({ kind: 'Container', name: old.name, status: 'Removing' });
    await this.#client.containers.remove(old.id, { force: true }).catch(unlessGone);
    onProgress({ kind: 'Container', name: old.name, status: 'Removed' });
  }

  async #orphans(observed: ObservedProject): Promise<void> {
    const known = new Set(this.#project.services.keys());
    const orphans = observed.containers.filter((item) => !known.has(item.service));
    if (orphans.length === 0) return;
    if (this.#options.removeOrphans) await all(orphans, (item) => this.#remove(item));
    else if (this.#options.ignoreOrphans !== true)
      this.#options.warn(
        `Found orphan containers (${JSON.stringify(orphans.map((item) => item.name)).replaceAll('"', '')}) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.`,
      );
  }

  /** A network that changed is made anew; its containers let go of it first, and are made anew after it. */
  async #dropNetwork(name: string, observed: ObservedProject): Promise<void> {
    const { onProgress, timeoutSeconds } = this.#options;
    const inspected = await this.#client.networks.inspect(name);
    const own = observed.containers.filter((item) => name in item.summary.NetworkSettings.Networks);
    await all(own, async (item) => {
      await this.#client.containers.stop(item.id, { timeoutSeconds }).catch(unlessGone);
      await this.#client.networks.disconnect(inspected.Id, { Container: item.id, Force: true }).catch(unlessGone);
    });
    onProgress({ kind: 'Network', name, status: 'Removing', reason: 'its configuration has changed' });
    await this.#client.networks.remove(inspected.Id);
    onProgress({ kind: 'Network', name, status: 'Removed' });
  }
}

/** Engines before API 1.44 take one network at the creation; the others are joined after it. */
async function connectable(
  client: Client,
  request: ReturnType<typeof containerRequest>,
  options: { name: string; platform: string | undefined },
  networks: number,
): Promise<{ Id: string }> {
  const [major, minor] = (await client.apiVersion()).split('.').map(Number);
  if (networks < 2 || major! > 1 || minor! >= 44) return client.containers.create(request, options);
  const [first, ...rest] = Object.entries(request.NetworkingConfig?.EndpointsConfig ?? {});
  const made = await client.containers.create(
    { ...request, NetworkingConfig: { EndpointsConfig: Object.fromEntries([first!]) } },
    options,
  );
  for (const [network, endpoint] of rest)
    await client.networks.connect(network, { Container: made.Id, EndpointConfig: endpoint });
  return made;
}

function borrowed(service: Service): Service['dependencies'] {
  const links = asList(service.model['links']).map((link) => textOf(link).split(':')[0]!);
  return new Map(
    [...sharedServices(service), ...links].map((name) => [
      name,
      { condition: 'service_started', restart: false, required: true } as const,
    ]),
  );
}

function withMounts(service: Service, mounts: readonly object[]): Service {
  return { ...service, model: { ...service.model, volumes: [...asList(service.model['volumes']), ...(mounts as [])] } };
}

export function unlessGone(error: unknown): void {
  if (!['not-found', 'not-modified'].includes(errorCode(error))) throw error;
}

/**
 * `--wait`: until every container of these services runs, and is healthy where it has a check; until it has ended well
 * where others wait for that. Throws when one ends or falls ill.
 */
export async function waitUntilReady(
  client: Client,
  services: ReadonlyMap<string, Service>,
  containers: ReadonlyMap<string, readonly string[]>,
  onProgress: OnProgress,
  signal?: AbortSignal,
): Promise<void> {
  const jobs = new Set(
    [...services.values()].flatMap((service) =>
      [...service.dependencies]
        .filter(([, how]) => how.condition === 'service_completed_successfully')
        .map(([name]) => name),
    ),
  );
  await all(
    [...services.keys()].flatMap((name) => (containers.get(name) ?? []).map((id) => ({ name, id }))),
    async ({ name, id }) => {
      const condition = jobs.has(name)
        ? 'service_completed_successfully'
        : (await healthOf(client, id)) === 'none'
          ? 'service_started'
          : 'service_healthy';
      await waitFor(client, id, condition, onProgress, signal);
    },
  );
}

/** Seconds, or undefined for the container's own. */
export function stopSeconds(service: Service): number | undefined {
  const text = asText(service.model['stop_grace_period']);
  return text === undefined ? undefined : Math.round(parseDuration(text) / 1e9);
}
