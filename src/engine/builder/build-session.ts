import type { Duplex } from 'node:stream';
import type { AttachSession } from '../engine.ts';
import type { ClientDirectorySource } from './client-files/client-files.ts';

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
  directory?(name: string): ClientDirectorySource | undefined;
  /** A file of an OCI layout that the client has, by its path in it; undefined when there is none. */
  layoutFile?(store: string, path: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array> | undefined>;
  /** Lets the client's user into a step that failed, where it wants to; resolves when it has left. */
  shell?(step: FailedStep): Promise<void>;
  /** The build context as a tar, when it is one. */
  archive?(): AsyncIterable<Uint8Array> | undefined;
}

/** A step whose command has ended with a code that is not 0, with everything that the command had. */
export interface FailedStep {
  /** What happened. */
  readonly message: string;
  /** Starts a shell in it. Throws `no-such-command` where the image has none. */
  enter(size: TerminalSize): Promise<StepShell>;
}

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** A shell on a terminal in a step. Closing it ends it. */
export interface StepShell extends AttachSession {
  /** Resolves when it is over and nothing of it is left. */
  readonly ended: Promise<void>;
  resize(size: TerminalSize): Promise<void>;
}
