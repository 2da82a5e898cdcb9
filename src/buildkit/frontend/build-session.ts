import type { Duplex } from 'node:stream';
import type { BuildSession } from '../../engine/builder/build-session.ts';
import type { ClientDirectorySource } from '../../engine/builder/client-files/client-files.ts';
import type { TransferWatcher } from '../session/file-sync.ts';
import type { ClientSession, FileSelection } from '../session/client-session.ts';

/** Directories of the client by the names that the engine uses for them. */
export interface OfferedDirectory {
  /** As the client calls it. */
  readonly name: string;
  readonly selection: FileSelection;
  readonly watcher: TransferWatcher;
}

/** A client's session as the engine's builds see it. */
export class SessionForBuild implements BuildSession {
  readonly #session: ClientSession;
  readonly #directories: ReadonlyMap<string, OfferedDirectory>;

  readonly #upload: (() => AsyncIterable<Uint8Array>) | undefined;

  /** @param upload opens a context that the client has as a stream */
  constructor(
    session: ClientSession,
    directories: ReadonlyMap<string, OfferedDirectory>,
    upload?: () => AsyncIterable<Uint8Array>,
  ) {
    this.#session = session;
    this.#directories = directories;
    this.#upload = upload;
  }

  archive(): AsyncIterable<Uint8Array> | undefined {
    return this.#upload?.();
  }

  secret(id: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#session.secret(id, signal);
  }

  sshAgent(id: string, signal: AbortSignal): Promise<Duplex | undefined> {
    return this.#session.sshAgent(id, signal);
  }

  directory(name: string): ClientDirectorySource | undefined {
    const offered = this.#directories.get(name);
    if (!offered) return undefined;
    const key = `buildkit ${this.#session.sharedKey || this.#session.id} ${offered.name}`;
    return this.#session.directory(offered.name, offered.selection, { key, watcher: offered.watcher });
  }
}
