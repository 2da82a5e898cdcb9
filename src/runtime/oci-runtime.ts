import { closeSync, constants, openSync, unlinkSync, writeSync } from 'node:fs';
import { errorMessage } from '../base/errors.ts';
import { runTool, TOOL_PATH } from '../linux/tool.ts';
import type { LinuxResources } from './spec/oci-spec.ts';
import { runtimeError } from './runtime-error.ts';

export interface OciRuntimeOptions {
  /** As in the configuration: `crun`, `runc`, or a user's own name. */
  readonly name: string;
  /** Absolute path of the program. */
  readonly path: string;
  /** Given before every subcommand. */
  readonly args: readonly string[];
  /** Its own state, below our exec root. */
  readonly root: string;
}

/** A low-level runtime's command line (runc's, which crun and others share). Errors carry its own words. */
export class OciRuntime {
  readonly name: string;
  readonly path: string;
  /** Arguments before the subcommand, `--root` included. */
  readonly args: readonly string[];
  readonly root: string;
  #version: Promise<string> | undefined;

  constructor(options: OciRuntimeOptions) {
    this.name = options.name;
    this.path = options.path;
    this.args = [...options.args, '--root', options.root];
    this.root = options.root;
  }

  /** The first line of `--version`: `crun version 1.8.1`. Asked once. */
  version(): Promise<string> {
    this.#version ??= runTool(this.path, ['--version']).then(
      (result) => result.stdout.toString('utf8').split('\n')[0]!.trim(),
      (error: unknown) => {
        this.#version = undefined;
        throw error;
      },
    );
    return this.#version;
  }

  async isCrun(): Promise<boolean> {
    return (await this.version()).startsWith('crun ');
  }

  /** Lets a created container run. Throws with the runtime's words. */
  async start(id: string, options: { readonly hooks: boolean }): Promise<void> {
    if (!options.hooks && (await this.isCrun()) && this.#releaseFifo(id)) return;
    try {
      await this.#run(['start', id]);
    } catch (error) {
      throw runtimeError({ doing: 'start', runtime: this.name, words: errorMessage(error), command: undefined });
    }
  }

  async pause(id: string): Promise<void> {
    await this.#run(['pause', id]);
  }

  async resume(id: string): Promise<void> {
    await this.#run(['resume', id]);
  }

  async update(id: string, resources: LinuxResources): Promise<void> {
    await this.#run(['update', '--resources', '-', id], JSON.stringify(resources));
  }

  /** Kills what is left of the container and forgets it; nothing happens when it knows none of that id. */
  async delete(id: string): Promise<void> {
    await this.#run(['delete', '--force', id]);
  }

  async #run(args: readonly string[], stdin?: string): Promise<void> {
    await runTool(this.path, [...this.args, ...args], stdin === undefined ? {} : { stdin });
  }

  /**
   * What `crun start` does when there are no hooks: the container's first process waits for a byte in this FIFO. False,
   * with nothing changed, when it is not there or nobody reads it.
   */
  #releaseFifo(id: string): boolean {
    const path = `${this.root}/${id}/exec.fifo`;
    let fd: number;
    try {
      fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    } catch {
      return false;
    }
    try {
      unlinkSync(path); // its absence is how crun knows 'running' from 'created'
      writeSync(fd, '0');
      return true;
    } finally {
      closeSync(fd);
    }
  }
}

/** The environment of runtimes and monitors: hooks find programs, and times in the log are UTC. */
export const RUNTIME_ENV: readonly string[] = [TOOL_PATH, 'TZ=UTC0'];
