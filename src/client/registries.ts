import { REGISTRIES_PATH, type RegistryListenerDocument, type RegistryMessage } from '../api/gantry.ts';
import { EngineError, errorCode } from '../base/errors.ts';
import { segment } from './query.ts';
import type { Requester } from './requester.ts';

/** `/gantry/registries`: only a Gantry engine has these. Throws `unimplemented` where there are none. */
export class RegistriesClient {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  /** Open until the iteration ends, or `signal` aborts. The first message has its address. */
  async *serve(settings: unknown, signal?: AbortSignal): AsyncGenerator<RegistryMessage, void, void> {
    try {
      yield* this.#requester.lines<RegistryMessage>('POST', REGISTRIES_PATH, { json: settings, signal });
    } catch (error) {
      throw own(error);
    }
  }

  /** Open until it is stopped, by the next engines too. */
  async keep(settings: unknown): Promise<{ Address: string }> {
    try {
      return await this.#requester.json('POST', REGISTRIES_PATH, { json: settings, query: { detach: 1 } });
    } catch (error) {
      throw own(error);
    }
  }

  async list(): Promise<RegistryListenerDocument[]> {
    try {
      return await this.#requester.json('GET', REGISTRIES_PATH);
    } catch (error) {
      throw own(error);
    }
  }

  async stop(address: string): Promise<void> {
    await this.#requester.call('DELETE', `${REGISTRIES_PATH}/${segment(address)}`);
  }
}

function own(error: unknown): unknown {
  if (errorCode(error) !== 'not-found') return error;
  return new EngineError('unimplemented', 'this engine serves no registries: a Gantry engine is needed', {
    cause: error,
  });
}
