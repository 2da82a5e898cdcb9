import { join } from 'node:path';
import type { Scope, ScopeCreated, ScopeCreateRequest } from '../../api/scope.ts';
import { EngineError, errorMessage } from '../../base/errors.ts';
import type { EngineServices } from '../../engine/engine.ts';
import { openSocket } from '../listen.ts';
import type { Logger } from '../log.ts';
import { Router } from '../router.ts';
import { routeTable } from '../routes/table.ts';
import type { ApiServer, Limited } from '../server.ts';
import { scopedEngine } from './scoped-engine.ts';
import { scopedRoutes } from './scope-routes.ts';

interface Door {
  readonly limited: Limited;
  readonly end: () => void;
  close: (() => void) | undefined;
}

/** The sockets of scopes, and what their tokens stand for. */
export class ScopeDoors {
  readonly #engine: EngineServices;
  readonly #log: Logger;
  readonly #doors = new Map<string, Door>();
  #server: ApiServer | undefined;

  constructor(engine: EngineServices, log: Logger) {
    this.#engine = engine;
    this.#log = log;
    for (const scope of engine.scopes.list()) this.#add(scope);
  }

  /** Opens the sockets of all there are. One that cannot be opened is told, and keeps nothing else from its door. */
  async open(server: ApiServer): Promise<void> {
    this.#server = server;
    for (const scope of this.#engine.scopes.list()) {
      try {
        await this.#listen(scope);
      } catch (error) {
        this.#log.error(`the socket of the scope ${scope.Name} is not there: ${errorMessage(error)}`);
      }
    }
  }

  list(): Scope[] {
    return this.#engine.scopes.list();
  }

  /** Resolves once its socket can be connected to. Throws `conflict`, `invalid-argument`; nothing is left of a failed one. */
  async create(request: ScopeCreateRequest): Promise<ScopeCreated> {
    const made = this.#engine.scopes.create(request);
    if (this.#doors.has(made.Name)) return made;
    this.#add(made);
    try {
      await this.#listen(made);
    } catch (error) {
      this.remove(made.Name);
      throw error;
    }
    return made;
  }

  /** Whoever is connected through it is cut off. Throws `not-found`. */
  remove(name: string): void {
    this.#engine.scopes.remove(name);
    const door = this.#doors.get(name);
    this.#doors.delete(name);
    door?.close?.();
    door?.end();
  }

  /** What the holder of a token is let through to. Throws `unauthorized`. */
  byToken(token: string): Limited {
    const scope = this.#engine.scopes.byToken(token);
    const door = scope && this.#doors.get(scope.Name);
    if (!door)
      throw new EngineError('unauthorized', 'the token is of no scope of this engine: it may have been removed');
    return door.limited;
  }

  #add(scope: Scope): void {
    const ended = new AbortController();
    const others = (): string[] =>
      this.#engine.scopes
        .list()
        .filter(({ Name, Label }) => Name !== scope.Name && Label !== '')
        .map(({ Label }) => Label);
    const routes = scopedRoutes(scope, routeTable(scopedEngine(this.#engine, scope, others)));
    this.#doors.set(scope.Name, {
      limited: { name: scope.Name, router: new Router(routes), ended: ended.signal },
      end: () => ended.abort(),
      close: undefined,
    });
  }

  async #listen({ Name, Directory }: Scope): Promise<void> {
    const door = this.#doors.get(Name);
    if (!this.#server || !door) return;
    const server = this.#server.server({ plainTcp: false, hostNames: [], limited: door.limited });
    // Whatever a container's user is, the directory is what says who gets here.
    await openSocket(server, join(Directory, 'api.sock'), 0o666);
    door.close = () => server.close();
  }
}
