import {
  TRASH_PATH,
  type TrashDocument,
  type TrashEmptyReport,
  type TrashRestoreReport,
  type TrashRestoreRequest,
} from '../api/trash.ts';
import type { Requester } from './requester.ts';

/** `/gantry/trash` */
export class TrashClient {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  list(): Promise<TrashDocument> {
    return this.#requester.json('GET', TRASH_PATH);
  }

  restore(request: TrashRestoreRequest): Promise<TrashRestoreReport> {
    return this.#requester.json('POST', `${TRASH_PATH}/restore`, { json: request });
  }

  empty(ids: readonly string[] = []): Promise<TrashEmptyReport> {
    return this.#requester.json('DELETE', TRASH_PATH, { query: { id: [...ids] } });
  }
}
