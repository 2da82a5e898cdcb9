import type { Duplex } from 'node:stream';

/**
 * What a build may ask its client for while it runs. Doors make one each: our own (`gantry build`), BuildKit's, a program
 * that embeds the engine. Nothing of it is kept longer than the step that asked.
 */
export interface BuildSession {
  /** The bytes of a secret; undefined when the client has none of that name. */
  secret(id: string, signal: AbortSignal): Promise<Uint8Array | undefined>;
  /** A new connection to the client's ssh agent; undefined when it forwards none of that name. */
  sshAgent(id: string, signal: AbortSignal): Promise<Duplex | undefined>;
  /** A directory of the client by its name: `context`, or one of --build-context. Undefined when it has none. */
  directory?(name: string, signal: AbortSignal): Promise<ClientDirectory | undefined>;
}

/** A directory of a client as it is held on the engine's side. Dispose it when the build is over. */
export interface ClientDirectory extends AsyncDisposable {
  /** On the engine's host. Nobody changes it while it is held. */
  readonly root: string;
  /** Digest of all that is in it, when that is known without a look: equal trees have equal ones. */
  readonly tree: string | undefined;
}
