import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../../base/errors.ts';
import type { Bytes } from '../../content/content-store.ts';
import { type Digest, isDigest } from '../../oci/digest.ts';
import type { BuildDirectory } from './build-directory.ts';
import type { BuildSession } from './build-session.ts';
import type { ClientFiles } from './client-files/client-files.ts';
import type { FilesPlace } from './copy-step.ts';
import type { ResolvedSource, SolvedImage } from './solved-build.ts';
import type { RemoteSources } from './sources/remote-sources.ts';
import { readGitAddress, withoutPassword } from './sources/git-address.ts';
import { checkDirectory, checkRepository, ruledFile, type SourceRules } from './sources/source-rules.ts';
import type { SourceSecrets } from './sources/source-secrets.ts';
import { SshAgentSocket } from './ssh-agent-socket.ts';
import type { HeldContext, UploadedContexts } from './uploads/uploaded-contexts.ts';

export interface ContextsParts {
  /** Of the build, removed after it. */
  readonly directory: BuildDirectory;
  readonly files: ClientFiles;
  readonly remote: RemoteSources;
  readonly session: BuildSession | undefined;
  readonly signal: AbortSignal | undefined;
  readonly rules?: SourceRules | undefined;
  readonly uploads: UploadedContexts;
  /** Lets the disk begin with what came. */
  readonly beginSync: () => void;
  readonly inputOf?: ((name: string) => SolvedImage | undefined) | undefined;
  /** Brings an image of an OCI layout, whose files `read` gives. */
  readonly layout?:
    | ((
        target: Digest,
        read: (path: string) => Promise<Bytes | undefined>,
        platform: string | undefined,
      ) => Promise<ContextImage>)
    | undefined;
  readonly onSource: (source: ResolvedSource) => void;
  /** Contexts with a name: `local` for a directory of the client, `docker-image://…`, or an address. */
  readonly named: Readonly<Record<string, string>>;
}

export type NamedContext =
  | { readonly kind: 'image'; readonly reference: string }
  | { readonly kind: 'files'; readonly place: FilesPlace }
  /** What another build made that runs now. */
  | { readonly kind: 'result'; readonly image: ContextImage };

/** An image that is not in the store: its configuration and its layers. */
export type ContextImage = Pick<SolvedImage, 'configText' | 'chain'>;

/** So many take the disk a while, which goes by while steps are made of them. */
const MANY_FILES = 2000;
const NEVER = new AbortController().signal;

/** Directories that a build takes files from and that are neither stage nor image: each is fetched once, and held for the build. */
export class BuildContexts implements AsyncDisposable {
  readonly #parts: ContextsParts;
  readonly #held = new AsyncDisposableStack();
  readonly #places = new Map<string, Promise<FilesPlace>>();
  #sent = 0;
  #agent: Promise<string | undefined> | undefined;

  constructor(parts: ContextsParts) {
    this.#parts = parts;
  }

  /** Bytes of files' content that clients sent. */
  get sent(): number {
    return this.#sent;
  }

  /** The build context: what came with the request, what the session has, or nothing beside a Dockerfile. Throws `invalid-argument`. */
  async main(request: {
    readonly archive: Bytes | undefined;
    readonly remote: string | undefined;
    readonly textOnly: boolean;
  }): Promise<FilesPlace & { readonly isDockerfile?: boolean }> {
    const { session, directory } = this.#parts;
    if (request.remote) return this.remote(request.remote);
    if (request.archive) return this.#uploaded(request.archive);
    if (session?.directory?.('context')) return this.client('context');
    const archive = session?.archive?.();
    if (archive) return this.#uploaded(archive);
    if (!request.textOnly) throw new EngineError('invalid-argument', 'the build has no context');
    const root = directory.place('context');
    await mkdir(root);
    return { root, ignore: [], keepOwner: false, name: 'build context' };
  }

  async #uploaded(archive: Bytes): Promise<FilesPlace> {
    const { uploads, signal, directory } = this.#parts;
    const own = join(directory.path, 'context');
    let held: HeldContext | undefined;
    try {
      held = this.#held.use(await uploads.receive(archive, { directory: own, signal }));
    } finally {
      // It may have put something there.
      if (held === undefined || held.root === own) directory.place('context');
    }
    const { root, known } = held;
    return { root, ignore: [], keepOwner: false, name: 'build context', steady: 'shared', known };
  }

  /** A context with a name: an image, or files. Throws `not-found`, `invalid-argument`. */
  async named(name: string, platform: string | undefined): Promise<NamedContext> {
    const value = this.#parts.named[name]!;
    const image = /^docker-image:\/\/(.+)$/.exec(value)?.[1];
    if (image !== undefined) return { kind: 'image', reference: image };
    if (value === 'local') return { kind: 'files', place: await this.client(name) };
    const input = /^input:(.+)$/s.exec(value)?.[1];
    if (input !== undefined) {
      const result = this.#parts.inputOf?.(input);
      if (!result) throw new EngineError('invalid-argument', `invalid input ${input} for ${name}`);
      return { kind: 'result', image: result };
    }
    if (value.startsWith('oci-layout:')) return { kind: 'result', image: await this.#layout(name, value, platform) };
    if (value.startsWith('target:'))
      throw new EngineError(
        'invalid-argument',
        `the context ${name} (${value}) is a target: only a bake file has such, and builds it first`,
      );
    const place = await this.remote(value);
    return { kind: 'files', place: { ...place, name: `context ${name}` } };
  }

  /** `oci-layout://STORE[:TAG]@DIGEST`: the client, which reads the layout, has found the digest. */
  async #layout(name: string, value: string, platform: string | undefined): Promise<ContextImage> {
    const { session, layout, signal = NEVER, onSource } = this.#parts;
    const [, store, digest] = /^oci-layout:\/\/(.+?)(?::[\w][\w.-]*)?@(sha256:[0-9a-f]{64})$/.exec(value) ?? [];
    if (store === undefined || digest === undefined || !isDigest(digest))
      throw new EngineError(
        'invalid-argument',
        `invalid context ${name} (${value}): expected oci-layout://STORE@DIGEST`,
      );
    const read = session?.layoutFile?.bind(session);
    if (!read || !layout)
      throw new EngineError('not-found', `the client of this build has no layout for the context ${name}`);
    onSource({ kind: 'image', name: `oci-layout ${name}`, digest, platform });
    return layout(digest, (path) => read(store, path, signal), platform);
  }

  /** An address: a git repository, an archive or a Dockerfile on a web server. */
  remote(address: string): Promise<FilesPlace & { readonly isDockerfile: boolean }> {
    return this.#once(`remote ${address}`, async () => {
      const { remote, directory, signal, onSource, rules } = this.#parts;
      if (readGitAddress(address)) checkRepository(rules, address);
      else if (ruledFile(rules, address, undefined).url !== address)
        throw new EngineError('unimplemented', `a source policy that converts the context ${withoutPassword(address)}`);
      const place = directory.place(`remote-${this.#places.size}`);
      const { root, source, isDockerfile } = await remote.context(address, place, { secrets: this.secrets, signal });
      onSource(source);
      return { root, ignore: [], keepOwner: false, name: 'build context', steady: 'own', isDockerfile };
    });
  }

  /** What the client has for places that ask who comes. */
  get secrets(): SourceSecrets {
    const { session } = this.#parts;
    const signal = this.#parts.signal ?? NEVER;
    return {
      secret: async (name) => {
        const bytes = await session?.secret(name, signal);
        return bytes && Buffer.from(bytes).toString('utf8');
      },
      sshSocket: session && (() => (this.#agent ??= this.#sshSocket(session, signal))),
    };
  }

  async #sshSocket(session: BuildSession, signal: AbortSignal): Promise<string | undefined> {
    const first = await session.sshAgent('default', signal);
    if (!first) return undefined;
    const path = this.#parts.directory.place('ssh');
    return this.#held.use(await SshAgentSocket.listen(path, () => session.sshAgent('default', signal), first)).path;
  }

  /** A directory of the client: `context`, or one with a name. Throws `not-found`. */
  client(name: string): Promise<FilesPlace> {
    return this.#once(`client ${name}`, async () => {
      checkDirectory(this.#parts.rules, name);
      const source = this.#parts.session?.directory?.(name);
      if (!source)
        throw new EngineError('not-found', `the client of this build has no directory ${JSON.stringify(name)}`);
      const held = this.#held.use(await this.#parts.files.hold(source, this.#parts.signal));
      this.#sent += held.sent;
      if (held.files >= MANY_FILES) this.#parts.beginSync();
      return {
        root: held.root,
        ignore: [],
        keepOwner: false,
        name: name === 'context' ? 'build context' : `context ${name}`,
        steady: 'shared',
        known: held.tree === undefined ? undefined : { list: held.manifest, tree: held.tree, complete: true },
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
