import { SCOPES_PATH, type Scope, type ScopeCreated, type ScopeCreateRequest } from '../api/scope.ts';
import { EngineError, errorCode } from '../base/errors.ts';
import { segment } from './query.ts';
import type { Requester } from './requester.ts';

/** `/gantry/scopes`: only a Gantry engine has these. Throws `unimplemented` where there are none. */
export class ScopesClient {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  create(request: ScopeCreateRequest): Promise<ScopeCreated> {
    return this.#own(this.#requester.json('POST', SCOPES_PATH, { json: request }));
  }

  list(): Promise<Scope[]> {
    return this.#own(this.#requester.json('GET', SCOPES_PATH));
  }

  async remove(name: string): Promise<void> {
    await this.#requester.call('DELETE', `${SCOPES_PATH}/${segment(name)}`);
  }

  async #own<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (errorCode(error) !== 'not-found') throw error;
      throw new EngineError('unimplemented', 'this engine has no scopes: a Gantry engine is needed', { cause: error });
    }
  }
}
