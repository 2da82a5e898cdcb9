import type { ContainerCreateRequest, ContainerInspect } from '../../api/container.ts';
import { EngineError, errorCode } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';
import { overlay } from './overlay.ts';

/**
 * A client that only reads: what would change something is answered as if it had been done, and later reads of what it
 * pretends to have made are answered to match. So a command's own code says what it would do.
 */
export function dryRunClient(real: Client): Client {
  const pretended = new Pretended(real);
  const nothing = async (): Promise<void> => {};
  const noLines = async function* (): AsyncGenerator<never, void, void> {};
  const build = ({ query }: { query: { t?: readonly string[] } }): AsyncGenerator<never, void, void> => {
    for (const name of query.t ?? []) pretended.image(name);
    return noLines();
  };
  return overlay(real, {
    containers: overlay(real.containers, {
      create: async (request: ContainerCreateRequest, options: { name?: string }) => ({
        Id: pretended.add(options.name ?? '', request),
        Warnings: [],
      }),
      inspect: (id: string) => pretended.inspect(id),
      start: async (id: string) => pretended.started(id),
      restart: async (id: string) => pretended.started(id),
      wait: async (id: string) => {
        await pretended.inspect(id);
        return { outcome: Promise.resolve({ StatusCode: 0 }) };
      },
      stop: nothing,
      kill: nothing,
      pause: nothing,
      unpause: nothing,
      rename: nothing,
      archivePut: nothing,
      remove: async (id: string) => {
        // A name that an interrupted attempt may have left: nothing of the kind is there.
        if (!pretended.has(id) && !/^[0-9a-f]{64}$/.test(id)) await real.containers.inspect(id);
      },
    }),
    networks: overlay(real.networks, {
      create: async (request: { Name: string }) => ({ Id: pretended.add(request.Name), Warning: '' }),
      inspect: async (id: string) => {
        if (!pretended.has(id)) return real.networks.inspect(id);
        throw new EngineError('not-found', `network ${id} not found`);
      },
      remove: nothing,
      connect: nothing,
      disconnect: nothing,
    }),
    volumes: overlay(real.volumes, { create: nothing, remove: nothing }),
    images: overlay(real.images, {
      inspect: async (name: string) => {
        try {
          return await real.images.inspect(name);
        } catch (error) {
          if (errorCode(error) !== 'not-found' || !pretended.images.has(name)) throw error;
          return { Id: pretended.images.get(name)!, RepoTags: [name] };
        }
      },
      pull: ({ image, tag }: { image: string; tag?: string }) => {
        pretended.image(image);
        if (tag !== undefined) pretended.image(`${image}:${tag}`);
        return noLines();
      },
      push: noLines,
      remove: async () => [],
    }),
    builder: overlay(real.builder, { build, buildAsking: build }),
    execs: overlay(real.execs, {
      create: async () => ({ Id: 'dry-run' }),
      startDetached: nothing,
      start: async () => ({ output: noLines(), close: () => {} }),
      inspect: async () => ({ ExitCode: 0 }),
    }),
  });
}

/** What would be there by now. */
class Pretended {
  readonly images = new Map<string, string>();
  readonly #real: Client;
  readonly #made = new Map<string, { name: string; request: ContainerCreateRequest | undefined }>();
  readonly #started = new Set<string>();

  constructor(real: Client) {
    this.#real = real;
  }

  has(id: string): boolean {
    return this.#made.has(id);
  }

  add(name: string, request?: ContainerCreateRequest): string {
    const id = `dry-run-${this.#made.size + 1}-${name}`;
    this.#made.set(id, { name, request });
    return id;
  }

  image(name: string): void {
    this.images.set(name, `sha256:${'0'.repeat(64)}`);
  }

  started(id: string): void {
    this.#started.add(id);
  }

  async inspect(id: string): Promise<ContainerInspect> {
    const made = this.#made.get(id);
    const running = this.#started.has(id);
    if (made)
      return {
        Id: id,
        Name: `/${made.name}`,
        Config: { ...made.request, Tty: made.request?.Tty === true },
        State: stateOf(running),
        Mounts: [],
      } as unknown as ContainerInspect;
    const found = await this.#real.containers.inspect(id);
    return running ? { ...found, State: { ...found.State, ...stateOf(true) } } : found;
  }
}

function stateOf(running: boolean): object {
  return {
    Status: running ? 'running' : 'created',
    Running: running,
    ExitCode: 0,
    ...(running ? { Health: { Status: 'healthy', FailingStreak: 0, Log: [] } } : {}),
  };
}
