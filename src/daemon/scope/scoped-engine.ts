import type { ContainerCreateRequest, ContainerInspect } from '../../api/container.ts';
import { type Filters, hasLabel, NO_FILTERS } from '../../api/filters.ts';
import type { EndpointSettings, NetworkCreateRequest, NetworkInspect } from '../../api/network.ts';
import { SCOPE_LABEL, type Scope } from '../../api/scope.ts';
import type { Volume, VolumeCreateRequest } from '../../api/volume.ts';
import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import type { EngineServices } from '../../engine/engine.ts';
import { isIdentifier, matchesPattern, parseReference, withDefaultTag } from '../../oci/reference.ts';
import { checkHostConfig, isEmpty, sourceOfMount, volumeOfBind } from './host-limits.ts';
import { OutOfScope } from './out-of-scope.ts';
import { imageAdvice } from './scope-routes.ts';

/** Networks that are everybody's. What is on them has no name there. */
const OPEN_NETWORKS: ReadonlySet<string> = new Set(['', 'default', 'bridge', 'none']);

/**
 * The engine as a scope has it: the same interfaces, each method checked, and those that are not in here refused, also ones
 * that are added later. What a name means is found once and passed on as an id, so that it means the same to the engine.
 *
 * Only what a scope made itself (`gantry.scope=NAME`, which no image and no client can set) is entered: it was checked when
 * it was made. Of a project's other containers it sees documents and logs, and may stop and remove them.
 */
export function scopedEngine(
  engine: EngineServices,
  scope: Scope,
  otherLabels: () => readonly string[],
): EngineServices {
  const rules = new Rules(engine, scope, otherLabels);
  const services: { [S in keyof EngineServices]?: Partial<EngineServices[S]> } = {
    system: systemOf(engine),
    events: eventsOf(engine, scope),
    containers: containersOf(engine, rules),
    execs: execsOf(engine, rules),
    images: imagesOf(engine, rules),
    networks: networksOf(engine, rules),
    volumes: volumesOf(engine, rules),
  };
  return new Proxy({} as EngineServices, {
    get: (_, service) => {
      const methods = Object.hasOwn(services, service) ? services[service as keyof EngineServices] : undefined;
      return new Proxy(methods ?? {}, {
        get: (_methods, method) =>
          methods && Object.hasOwn(methods, method)
            ? Reflect.get(methods, method)
            : () => {
                throw new EngineError(
                  'forbidden',
                  `${String(service)}.${String(method)} is not for the scope ${scope.Name}`,
                );
              },
      });
    },
  });
}

type Part<S extends keyof EngineServices> = Partial<EngineServices[S]>;

function systemOf({ system }: EngineServices): Part<'system'> {
  return { version: () => system.version(), info: () => system.info() };
}

function eventsOf({ events }: EngineServices, { Label }: Scope): Part<'events'> {
  return {
    subscribe: (options = {}) => {
      if (Label === '') return events.subscribe(options);
      const filters = new Map(options.filters ?? NO_FILTERS);
      // Of other things events do not tell the labels.
      const types = filters.get('type');
      if (types && !types.includes('container')) {
        throw new EngineError(
          'forbidden',
          `a scope gets the events of its containers, not those of ${types.join(', ')}`,
        );
      }
      filters.set('type', ['container']);
      return events.subscribe({ ...options, filters: narrowed(filters, Label) });
    },
  };
}

function containersOf({ containers }: EngineServices, rules: Rules): Part<'containers'> {
  const seen = async (id: string): Promise<string> => (await rules.container(id)).Id;
  const made = async (id: string): Promise<string> => (await rules.ownContainer(id)).Id;
  return {
    list: (options = {}) => containers.list({ ...options, filters: rules.narrow(options.filters) }),
    inspect: async (id, options) => containers.inspect(await seen(id), options),
    top: async (id, args) => containers.top(await seen(id), args),
    why: async (id) => containers.why(await seen(id)),
    logs: async (id, options) => containers.logs(await seen(id), options),
    changes: async (id) => containers.changes(await seen(id)),
    stats: async (id, options) => containers.stats(await seen(id), options),
    wait: async (id, ...more) => containers.wait(await seen(id), ...more),
    create: async (request, options) => {
      const checked = await rules.containerRequest(request).catch((error: unknown) => {
        const advice = imageAdvice(request.Image ?? '');
        if (advice !== '' && errorCode(error) === 'forbidden' && !errorMessage(error).endsWith(advice))
          throw new EngineError('forbidden', `${errorMessage(error)}${advice}`);
        // Clients take a `not-found` here for a missing image, and go for it.
        if (errorCode(error) !== 'not-found') throw error;
        throw new EngineError('forbidden', `not in the scope: ${errorMessage(error)}`);
      });
      return containers.create(checked, options);
    },
    start: async (id) => containers.start(await seen(id)),
    stop: async (id, options) => containers.stop(await seen(id), options),
    restart: async (id, options) => containers.restart(await seen(id), options),
    kill: async (id, signal) => containers.kill(await seen(id), signal),
    pause: async (id) => containers.pause(await seen(id)),
    unpause: async (id) => containers.unpause(await seen(id)),
    remove: async (id, options) => containers.remove(await seen(id), options),
    prune: (filters) => containers.prune(rules.narrow(filters)),
    rename: async (id, name) => containers.rename(await made(id), name),
    resize: async (id, size) => containers.resize(await made(id), size),
    attach: async (id, options) => containers.attach(await made(id), options),
    export: async (id, options) => containers.export(await made(id), options),
    archiveStat: async (id, path) => containers.archiveStat(await made(id), path),
    archiveGet: async (id, path, options) => containers.archiveGet(await made(id), path, options),
    archivePut: async (id, path, tar, options) => containers.archivePut(await made(id), path, tar, options),
    changePorts: async (id, change) => containers.changePorts(await made(id), change),
    update: async (id, request) => {
      checkHostConfig(request);
      return containers.update(await made(id), request);
    },
  };
}

function execsOf({ execs }: EngineServices, rules: Rules): Part<'execs'> {
  const made = async (id: string): Promise<string> => {
    await rules.ownContainer((await execs.inspect(id)).ContainerID, `exec instance: ${id}`);
    return id;
  };
  return {
    inspect: async (id) => {
      const found = await execs.inspect(id);
      await rules.container(found.ContainerID, `exec instance: ${id}`);
      return found;
    },
    create: async (id, request) => {
      if (request.Privileged) throw new EngineError('forbidden', 'a privileged exec: not through a scope');
      if (!isEmpty(request.Secrets)) throw new EngineError('forbidden', 'secrets of the engine: not through a scope');
      return execs.create((await rules.ownContainer(id)).Id, request);
    },
    start: async (id, options) => execs.start(await made(id), options),
    startDetached: async (id) => execs.startDetached(await made(id)),
    resize: async (id, size) => execs.resize(await made(id), size),
  };
}

function imagesOf({ images }: EngineServices, rules: Rules): Part<'images'> {
  return {
    list: async (options) =>
      (await images.list(options))
        .filter(({ RepoTags }) => rules.showsImage(RepoTags))
        .map((image) => ({ ...image, RepoTags: rules.shownTags(image.RepoTags) })),
    inspect: async (name, options) => {
      await rules.image(name);
      const image = await images.inspect(name, options);
      return { ...image, RepoTags: rules.shownTags(image.RepoTags) };
    },
    history: async (name, options) => {
      await rules.image(name);
      return images.history(name, options);
    },
    pull: async (name, options) => {
      rules.imageName(name, options.all === true);
      return images.pull(name, options);
    },
  };
}

function networksOf({ networks }: EngineServices, rules: Rules): Part<'networks'> {
  return {
    list: (filters) => networks.list(rules.narrow(filters)),
    inspect: async (id, options) => networks.inspect((await rules.network(id)).Id, options),
    create: (request) => networks.create(rules.networkRequest(request)),
    remove: async (id) => networks.remove((await rules.network(id)).Id),
    prune: (filters) => networks.prune(rules.narrow(filters)),
    connect: async (id, request) => {
      const container = (await rules.ownContainer(request.Container)).Id;
      for (const link of rules.endpointLinks(request.EndpointConfig)) await rules.ownContainer(link.split(':')[0]!);
      await networks.connect((await rules.network(id)).Id, { ...request, Container: container });
    },
    disconnect: async (id, request) => {
      const container = (await rules.ownContainer(request.Container)).Id;
      await networks.disconnect((await rules.network(id)).Id, { ...request, Container: container });
    },
  };
}

function volumesOf({ volumes }: EngineServices, rules: Rules): Part<'volumes'> {
  const own = async (name: string): Promise<string> => (await rules.ownVolume(name)).Name;
  return {
    list: (filters) => volumes.list(rules.narrow(filters)),
    inspect: (name) => rules.volume(name),
    create: (request) => rules.createVolume(request),
    remove: async (name, options) => volumes.remove((await rules.volume(name)).Name, options),
    prune: (filters) => volumes.prune(rules.narrow(filters)),
    files: async (name, path) => volumes.files(await own(name), path),
    readFile: async (name, path) => volumes.readFile(await own(name), path),
    export: async (name, options) => volumes.export(await own(name), options),
    import: async (name, tar, options) => volumes.import(await own(name), tar, options),
  };
}

/** What a scope may know, enter and ask for. */
class Rules {
  readonly #engine: EngineServices;
  readonly #scope: Scope;
  readonly #otherLabels: () => readonly string[];

  constructor(engine: EngineServices, scope: Scope, otherLabels: () => readonly string[]) {
    this.#engine = engine;
    this.#scope = scope;
    this.#otherLabels = otherLabels;
  }

  narrow(filters: Filters = NO_FILTERS): Filters {
    return this.#scope.Label === '' ? filters : narrowed(filters, this.#scope.Label);
  }

  /** A container that is there for the scope. Throws `not-found` as the engine does. */
  async container(id: string, shown = `container: ${id}`): Promise<ContainerInspect> {
    const found = await this.#engine.containers.inspect(id);
    if (!this.#sees(found.Config.Labels)) throw new OutOfScope('not-found', `No such ${shown}`);
    return found;
  }

  /** One that may be entered. Throws `forbidden` for one that others made. */
  async ownContainer(id: string, shown?: string): Promise<ContainerInspect> {
    const found = await this.container(id, shown);
    if (!this.#made(found.Config.Labels)) {
      throw new EngineError(
        'forbidden',
        `${found.Name.replace(/^\//, '')} was not made through the scope ${this.#scope.Name}: it is not entered through it`,
      );
    }
    return found;
  }

  async network(id: string): Promise<NetworkInspect> {
    const found = await this.#engine.networks.inspect(id);
    if (!this.#sees(found.Labels)) throw new OutOfScope('not-found', `network ${id} not found`);
    return found;
  }

  async volume(name: string): Promise<Volume> {
    const found = await this.#engine.volumes.inspect(name);
    if (!this.#sees(found.Labels)) throw new OutOfScope('not-found', `get ${name}: no such volume`);
    return found;
  }

  /** One that holds nothing of the host: the local driver mounts whatever its options say. */
  async ownVolume(name: string): Promise<Volume> {
    const found = await this.volume(name);
    if (found.Driver !== 'local' || !isEmpty(found.Options)) {
      throw new EngineError('forbidden', `the volume ${name} has options of a driver: not through a scope`);
    }
    return found;
  }

  async containerRequest(request: ContainerCreateRequest): Promise<ContainerCreateRequest> {
    const host = { ...request.HostConfig };
    checkHostConfig(host);
    await this.image(request.Image ?? '');
    const Labels = this.#labelled(request.Labels);
    host.NetworkMode = await this.#sharing(host.NetworkMode, (name) => this.#joinable(name));
    host.IpcMode = await this.#sharing(host.IpcMode);
    host.PidMode = await this.#sharing(host.PidMode);
    const endpoints: Record<string, EndpointSettings | null> = {};
    for (const [name, endpoint] of Object.entries(request.NetworkingConfig?.EndpointsConfig ?? {})) {
      endpoints[await this.#joinable(name)] = endpoint;
      for (const link of this.endpointLinks(endpoint)) await this.ownContainer(link.split(':')[0]!);
    }
    // a link without an alias is called as the container is
    host.Links = await mapped(host.Links, (link) =>
      this.#ownByName(link.includes(':') ? link : `${link}:${link.replace(/^\//, '')}`),
    );
    host.VolumesFrom = await mapped(host.VolumesFrom, (from) => this.#ownByName(from));
    for (const bind of host.Binds ?? []) await this.#usable(volumeOfBind(bind));
    for (const mount of host.Mounts ?? []) {
      const { volume, image } = sourceOfMount(mount);
      if (volume !== undefined) await this.#usable(volume);
      if (image !== undefined) await this.image(image);
    }
    const NetworkingConfig = request.NetworkingConfig && { ...request.NetworkingConfig, EndpointsConfig: endpoints };
    return dropUndefined({ ...request, Labels, HostConfig: dropUndefined(host), NetworkingConfig });
  }

  /** Containers that an endpoint gives names to. Throws `forbidden` for options of a driver. */
  endpointLinks(endpoint: EndpointSettings | null | undefined): readonly string[] {
    if (!isEmpty(endpoint?.DriverOpts))
      throw new EngineError('forbidden', 'options of a network reach beyond it: not through a scope');
    return endpoint?.Links ?? [];
  }

  networkRequest(request: NetworkCreateRequest): NetworkCreateRequest {
    const { Driver, Options, ConfigFrom, ConfigOnly, IPAM, Labels } = request;
    // Options name interfaces of the host, other drivers are of its networks.
    if ((Driver ?? '') !== '' && Driver !== 'bridge')
      throw new EngineError('forbidden', `a network of the driver ${Driver}: not through a scope`);
    if (!isEmpty(Options) || !isEmpty(ConfigFrom) || ConfigOnly || !isEmpty(IPAM?.Options))
      throw new EngineError('forbidden', 'options of a network reach beyond it: not through a scope');
    // The host itself would look for those addresses there.
    if (!isEmpty(IPAM?.Config) || !['', 'default'].includes(IPAM?.Driver ?? ''))
      throw new EngineError('forbidden', 'a subnet of your own choice takes it from the host: not through a scope');
    return { ...request, Labels: this.#labelled(Labels) };
  }

  async createVolume(request: VolumeCreateRequest): Promise<Volume> {
    if (((request.Driver ?? '') !== '' && request.Driver !== 'local') || !isEmpty(request.DriverOpts))
      throw new EngineError('forbidden', 'options of a volume driver reach beyond the volume: not through a scope');
    const { Name } = await this.#engine.volumes.create({ ...request, Labels: this.#labelled(request.Labels) });
    // The engine gives the volume of that name that there is.
    return this.ownVolume(Name);
  }

  /** Throws `forbidden` for an image that the scope may not use. */
  async image(name: string): Promise<void> {
    if (this.#scope.Images.length === 0) return;
    const byName = !isIdentifier(name) && !name.startsWith('sha256:') && this.#allows(name);
    let tags: readonly string[] | null;
    try {
      tags = (await this.#engine.images.inspect(name)).RepoTags;
    } catch (error) {
      if (errorCode(error) !== 'not-found' || !byName) throw byName ? error : this.#foreignImage(name);
      return;
    }
    // What looks like a name may be the beginning of an id: what it is called counts. By its digest alone it has no tag.
    if (!tags?.some((tag) => this.#allows(tag)) && !(byName && name.includes('@'))) throw this.#foreignImage(name);
  }

  imageName(name: string, all: boolean): void {
    if (this.#scope.Images.length === 0) return;
    // All tags of a repository are more than one pattern may say.
    if (all ? !this.#scope.Images.some((pattern) => pattern === name) : !this.#allows(name))
      throw this.#foreignImage(name);
  }

  showsImage(tags: readonly string[] | null): boolean {
    return this.#scope.Images.length === 0 || (tags ?? []).some((tag) => this.#allows(tag));
  }

  /** Of its names, those that the scope may use. */
  shownTags<T extends string[] | null>(tags: T): T {
    return this.#scope.Images.length === 0 || tags === null ? tags : (tags.filter((tag) => this.#allows(tag)) as T);
  }

  #allows(name: string): boolean {
    const reference = withDefaultTag(parseReference(name));
    return this.#scope.Images.some((pattern) => matchesPattern(reference, pattern));
  }

  #foreignImage(name: string): EngineError {
    const { Name, Images } = this.#scope;
    const words = `the scope ${Name} may use ${Images.join(', ')}, not ${name.slice(0, 200)}`;
    return new EngineError('forbidden', `${words}${imageAdvice(name)}`);
  }

  #sees(labels: Readonly<Record<string, string>> | null | undefined): boolean {
    return this.#scope.Label === '' || hasLabel(labels, this.#scope.Label);
  }

  #made(labels: Readonly<Record<string, string>> | null | undefined): boolean {
    return hasLabel(labels, `${SCOPE_LABEL}=${this.#scope.Name}`);
  }

  /** The labels asked for, and those that say whose it is. Throws `forbidden` for those that say that it is another's. */
  #labelled(labels: Readonly<Record<string, string>> | null | undefined): Record<string, string> {
    const { Label, Name } = this.#scope;
    const cut = Label.indexOf('=');
    const own: [string, string][] = [
      [SCOPE_LABEL, Name],
      [Label.slice(0, cut), Label.slice(cut + 1)],
    ];
    const others = this.#otherLabels();
    for (const [key, value] of Object.entries(labels ?? {})) {
      const mine = own.find(([name]) => name === key);
      if (mine ? mine[1] !== value : others.includes(`${key}=${value}`))
        throw new EngineError(
          'forbidden',
          `the label ${key}=${value.slice(0, 100)} is not the scope ${Name}'s to give`,
        );
    }
    return { ...labels, ...Object.fromEntries(own) };
  }

  /** `container:NAME` by the container's id, which must be one of the scope's own. */
  async #sharing(mode: string | undefined, otherwise?: (mode: string) => Promise<string>): Promise<string | undefined> {
    if (!mode?.startsWith('container:')) return mode === undefined ? mode : ((await otherwise?.(mode)) ?? mode);
    return `container:${(await this.ownContainer(mode.slice('container:'.length))).Id}`;
  }

  /** What it is kept by: its id, as its name, or what begins like it, may be another's when the container starts. */
  async #joinable(name: string): Promise<string> {
    return OPEN_NETWORKS.has(name) ? name : (await this.network(name)).Id;
  }

  /** `NAME:rest` by the container's id, which must be one of the scope's own: by the time that it is looked for, others may have the name. */
  async #ownByName(text: string): Promise<string> {
    const cut = text.indexOf(':');
    const [name, rest] = cut < 0 ? [text, ''] : [text.slice(0, cut), text.slice(cut)];
    return `${(await this.ownContainer(name)).Id}${rest}`;
  }

  /** A volume by name: the scope's own, made now if there is none. */
  async #usable(name: string): Promise<void> {
    try {
      await this.ownVolume(name);
    } catch (error) {
      if (error instanceof OutOfScope || errorCode(error) !== 'not-found') throw error;
      await this.createVolume({ Name: name });
    }
  }
}

async function mapped(
  texts: readonly string[] | null | undefined,
  change: (text: string) => Promise<string>,
): Promise<string[] | undefined> {
  if (!texts) return undefined;
  const changed: string[] = [];
  for (const text of texts) changed.push(await change(text));
  return changed;
}

function narrowed(filters: Filters, label: string): Filters {
  return new Map([...filters, ['label', [...(filters.get('label') ?? []), label]]]);
}

function dropUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as T;
}
