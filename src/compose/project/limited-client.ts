import type { Client } from '../../client/client.ts';
import { overlay } from './overlay.ts';

type Call = (...args: unknown[]) => unknown;

/** What makes the engine work. Reading is not held back, nor what may take as long as a container runs. */
const CALLS: Readonly<Record<string, readonly string[]>> = {
  containers: ['create', 'start', 'stop', 'restart', 'kill', 'pause', 'unpause', 'remove', 'archivePut'],
  networks: ['create', 'remove', 'connect', 'disconnect'],
  volumes: ['create', 'remove'],
  images: ['remove'],
};
/** Those that answer line by line: one counts until its last line. */
const STREAMS: Readonly<Record<string, readonly string[]>> = { images: ['pull', 'push'], builder: ['build'] };

/** A client with at most `limit` requests at a time that change something (`--parallel`). */
export function limitedClient(real: Client, limit: number): Client {
  const slots = new Slots(limit);
  const parts: Record<string, object> = {};
  for (const part of new Set([...Object.keys(CALLS), ...Object.keys(STREAMS)])) {
    const own = real[part as keyof Client] as unknown as Record<string, Call>;
    const changes: Record<string, Call> = {};
    for (const name of CALLS[part] ?? [])
      changes[name] = async (...args) => {
        using _slot = await slots.take();
        return await own[name]!(...args);
      };
    for (const name of STREAMS[part] ?? [])
      changes[name] = async function* (...args) {
        using _slot = await slots.take();
        yield* own[name]!(...args) as AsyncIterable<unknown>;
      };
    parts[part] = overlay(own, changes);
  }
  return overlay(real, parts);
}

class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async take(): Promise<Disposable> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return {
      [Symbol.dispose]: () => {
        const next = this.#waiting.shift();
        if (next) next();
        else this.#free++;
      },
    };
  }
}
