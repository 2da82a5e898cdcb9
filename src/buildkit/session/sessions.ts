import type { IncomingHttpHeaders } from 'node:http';
import { type Duplex, duplexPair } from 'node:stream';
import { EngineError } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import { ClientSession, sessionId } from './client-session.ts';

/** How long a build waits for its client's session: both are opened at the same time. */
const ATTACH_MS = 10_000;

/** The sessions that clients have open now, by their ids. */
export class Sessions {
  readonly #open = new Map<string, ClientSession>();
  readonly #waiting = new Map<string, Set<(session: ClientSession) => void>>();

  /** Throws `already-exists`, or `invalid-argument` for headers without an id. */
  check(headers: IncomingHttpHeaders): void {
    const id = sessionId(headers);
    if (this.#open.has(id)) throw new EngineError('already-exists', `session ${id} already exists`);
  }

  /** Takes a connection on which the client serves. It is there until the connection ends. */
  attach(headers: IncomingHttpHeaders, socket: Duplex): ClientSession {
    this.check(headers);
    const session = new ClientSession(headers, socket);
    this.#open.set(session.id, session);
    session.closed.addEventListener('abort', () => {
      if (this.#open.get(session.id) === session) this.#open.delete(session.id);
    });
    for (const found of this.#waiting.get(session.id) ?? []) found(session);
    this.#waiting.delete(session.id);
    return session;
  }

  /** The session of this id, when it is open now. */
  find(id: string): ClientSession | undefined {
    return this.#open.get(id);
  }

  /** A session of a client that offers nothing: of builds that need nobody. It ends with its user. */
  none(): ClientSession {
    const [ours] = duplexPair();
    return new ClientSession({ 'x-docker-expose-session-uuid': newId() }, ours);
  }

  /** The session of this id, when it is there or comes soon. Throws `not-found`. */
  async get(id: string, signal: AbortSignal): Promise<ClientSession> {
    const open = this.#open.get(id);
    if (open) return open;
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<ClientSession>();
    const waiting = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiting.add(resolve));
    const late = (): void =>
      reject(new EngineError('not-found', `no active session for ${id}: context deadline exceeded`));
    const stopped = (): void => reject(signal.reason as Error);
    const timer = setTimeout(late, ATTACH_MS);
    signal.addEventListener('abort', stopped, { once: true });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stopped);
      waiting.delete(resolve);
      if (waiting.size === 0 && this.#waiting.get(id) === waiting) this.#waiting.delete(id);
    }
  }

  close(): void {
    for (const session of this.#open.values()) session.close();
  }
}
