import { errorCode } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';

/** The engine's images by name, each asked for once: services share them, and so do the steps of a command. */
export class ImageIds {
  readonly #client: Client;
  readonly #asked = new Map<string, Promise<string | undefined>>();

  constructor(client: Client) {
    this.#client = client;
  }

  /** Undefined when the engine has no such image. */
  get(name: string): Promise<string | undefined> {
    let found = this.#asked.get(name);
    if (!found) {
      found = this.#client.images.inspect(name).then(
        (image) => image.Id,
        (error: unknown) => {
          if (errorCode(error) === 'not-found') return undefined;
          throw error;
        },
      );
      found.catch(() => {}); // thrown where it is waited for
      this.#asked.set(name, found);
    }
    return found;
  }

  /** After a pull or a build. */
  forget(name: string): void {
    this.#asked.delete(name);
  }
}
