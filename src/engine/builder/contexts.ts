import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../../base/errors.ts';
import type { Bytes } from '../../content/content-store.ts';
import type { BuildSession } from './build-session.ts';
import type { ClientFiles } from './client-files/client-files.ts';
import type { FilesPlace } from './copy-step.ts';

export interface ContextsParts {
  /** Directory of the build, removed after it. */
  readonly directory: string;
  readonly files: ClientFiles;
  readonly session: BuildSession | undefined;
  readonly signal: AbortSignal | undefined;
  /** Unpacks a tar, compressed or not, from a client that is not trusted. */
  extract(archive: Bytes, directory: string, signal: AbortSignal | undefined): Promise<void>;
}

/** Directories that a build takes files from and that are neither stage nor image: each is fetched once, and held for the build. */
export class BuildContexts implements AsyncDisposable {
  readonly #parts: ContextsParts;
  readonly #held = new AsyncDisposableStack();
  readonly #places = new Map<string, Promise<FilesPlace>>();
  #sent = 0;

  constructor(parts: ContextsParts) {
    this.#parts = parts;
  }

  /** Bytes of files' content that clients sent. */
  get sent(): number {
    return this.#sent;
  }

  /** The build context: what came with the request, what the session has, or nothing beside a Dockerfile. Throws `invalid-argument`. */
  async main(request: { readonly archive: Bytes | undefined; readonly textOnly: boolean }): Promise<FilesPlace> {
    const { session, directory } = this.#parts;
    if (request.archive) return this.#uploaded(request.archive);
    if (session?.directory?.('context')) return this.client('context');
    const archive = session?.archive?.();
    if (archive) return this.#uploaded(archive);
    if (!request.textOnly) throw new EngineError('invalid-argument', 'the build has no context');
    const root = join(directory, 'context');
    await mkdir(root);
    return { root, ignore: [], keepOwner: false, name: 'build context' };
  }

  async #uploaded(archive: Bytes): Promise<FilesPlace> {
    const root = join(this.#parts.directory, 'context');
    await mkdir(root, { recursive: true });
    await this.#parts.extract(archive, root, this.#parts.signal);
    return { root, ignore: [], keepOwner: false, name: 'build context', steady: 'own' };
  }

  /** A directory of the client: `context`, or one with a name. Throws `not-found`. */
  client(name: string): Promise<FilesPlace> {
    return this.#once(`client ${name}`, async () => {
      const source = this.#parts.session?.directory?.(name);
      if (!source)
        throw new EngineError('not-found', `the client of this build has no directory ${JSON.stringify(name)}`);
      const held = this.#held.use(await this.#parts.files.hold(source, this.#parts.signal));
      this.#sent += held.sent;
      return {
        root: held.root,
        ignore: [],
        keepOwner: false,
        name: name === 'context' ? 'build context' : `context ${name}`,
        steady: 'shared',
        known: held.tree === undefined ? undefined : { list: held.manifest, tree: held.tree },
      };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#places.values());
    await this.#held.disposeAsync();
  }

  #once<T extends FilesPlace>(key: string, make: () => Promise<T>): Promise<T> {
    let place = this.#places.get(key) as Promise<T> | undefined;
    if (!place) this.#places.set(key, (place = make()));
    return place;
  }
}
