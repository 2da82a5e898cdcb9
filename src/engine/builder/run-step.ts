import { chmod, chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { closeSync, fstatSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError } from '../../base/errors.ts';
import { copySelection, digestSelection } from '../../build/copy-files.ts';
import type { RunInstruction } from '../../build/dockerfile/instructions.ts';
import type { BindRunMount, CacheRunMount, RunMount, SecretRunMount, SshRunMount } from '../../build/run-mount.ts';
import { O_PATH } from '../../linux/files.ts';
import { bindMount, mount, MS_RDONLY, unmountAside } from '../../linux/mount.ts';
import { openInRoot } from '../../linux/rooted.ts';
import type { UserMount } from '../../runtime/spec/mounts.ts';
import type { ScaffoldEntry } from '../../snapshot/scaffold.ts';
import type { StepInput } from '../../state/build-records.ts';
import type { BuildSession } from './build-session.ts';
import type { CacheMounts } from './cache-mounts.ts';
import type { FilesPlace } from './copy-step.ts';
import { SshAgentSocket } from './ssh-agent-socket.ts';

export interface RunMountParts {
  place(from: string | undefined): Promise<FilesPlace>;
  /** An empty name in the build's own directory. */
  temporary(): string;
  readonly caches: CacheMounts;
  readonly session: BuildSession | undefined;
  readonly signal: AbortSignal;
  /** Aborted when the client goes: what a step has of it may still be asked for when the build has failed. */
  readonly clientSignal: AbortSignal | undefined;
}

/** What the mounts of a step are, by content: caches count only by their names. */
export async function mountInputs(parts: RunMountParts, mounts: readonly RunMount[]): Promise<StepInput[]> {
  return Promise.all(
    mounts.map(async (one): Promise<StepInput> => {
      if (one.type !== 'bind') return { name: `mount ${one.type}`, value: JSON.stringify(one) };
      const { name, ...place } = await parts.place(one.from);
      const { digest, entries } = await digestSelection(
        { ...place, ...WHOLE, sources: [one.source], sourceName: name },
        parts.signal,
      );
      const { target, source, writable } = one;
      return {
        name: `mount ${target}`,
        value: JSON.stringify({ target, source, writable, digest }),
        ...(entries && { files: entries }),
      };
    }),
  );
}

/** Where a secret or the agent's socket is in the step. */
function sessionTarget(one: SecretRunMount | SshRunMount, index: number): string | undefined {
  return one.type === 'secret' ? one.target : (one.target ?? `/run/buildkit/ssh_agent.${index}`);
}

/** The mounts of one run of a step, on the host. Dispose them when it has ended. */
export class PreparedRunMounts implements AsyncDisposable {
  readonly mounts: UserMount[] = [];
  /** Variables that come with them: neither in a cache key nor in the history. */
  readonly env: string[] = [];
  readonly #parts: RunMountParts;
  readonly #held = new AsyncDisposableStack();
  #memoryDirectory: Promise<string> | undefined;

  constructor(parts: RunMountParts) {
    this.#parts = parts;
  }

  /** Throws `not-found` when a source is not there, or a secret is required that no client gives. */
  async add(one: RunMount, index: number): Promise<void> {
    switch (one.type) {
      case 'tmpfs':
        this.mounts.push({
          type: 'tmpfs',
          destination: one.target,
          options: one.size === undefined ? [] : [`size=${one.size}`],
        });
        return;
      case 'bind':
        return this.#bind(one.target, await this.#source(one), !one.writable);
      case 'cache': {
        const held = this.#held.use(await this.#parts.caches.hold(one, (directory) => this.#fill(one, directory)));
        return this.#bind(one.target, held.path, one.readOnly);
      }
      case 'secret':
        return this.#secret(one);
      case 'ssh':
        return this.#ssh(one, index);
    }
  }

  async #secret(one: SecretRunMount): Promise<void> {
    const { session, signal } = this.#parts;
    const bytes = await session?.secret(one.id, signal);
    if (!bytes) {
      if (one.required) throw new EngineError('not-found', `secret ${one.id}: not found`);
      return;
    }
    if (one.variable !== undefined) this.env.push(`${one.variable}=${Buffer.from(bytes).toString('utf8')}`);
    if (one.target === undefined) return;
    const file = join(await this.#memory(), String(this.mounts.length));
    await writeFile(file, bytes, { flag: 'wx', mode: 0o600 });
    await chown(file, one.uid, one.gid);
    await chmod(file, one.mode);
    this.#bind(one.target, file, true);
  }

  async #ssh(one: SshRunMount, index: number): Promise<void> {
    const { session, signal, clientSignal = signal } = this.#parts;
    const first = await session?.sshAgent(one.id, signal);
    const target = sessionTarget(one, index)!;
    // As with BuildKit also where there is no agent: a step asks the socket, not the variable.
    this.env.push(`SSH_AUTH_SOCK=${target}`);
    if (!first) {
      if (one.required) throw new EngineError('not-found', `unset ssh forward key ${one.id}`);
      return;
    }
    const directory = await this.#memory();
    const agent = this.#held.use(
      await SshAgentSocket.listen(
        join(directory, `ssh-${index}`),
        () => session!.sshAgent(one.id, clientSignal),
        first,
      ),
    );
    await chown(agent.path, one.uid, one.gid);
    await chmod(agent.path, one.mode);
    this.#bind(target, agent.path, false);
  }

  /** A directory in memory: what is in it is never on a disk. */
  async #memory(): Promise<string> {
    this.#memoryDirectory ??= (async () => {
      const directory = this.#parts.temporary();
      await mkdir(directory);
      mount(
        { type: 'tmpfs', source: 'tmpfs', options: ['size=16m', 'mode=0711', 'nosuid', 'nodev', 'noexec'] },
        directory,
      );
      this.#held.defer(async () => void (await unmountAside(directory)));
      return directory;
    })();
    return this.#memoryDirectory;
  }

  /** Mount points, which the step has and its layer has not. */
  get points(): ScaffoldEntry[] {
    return this.mounts.map((one) => {
      const isFile = one.type === 'bind' && !statSync(one.source).isDirectory();
      return { path: one.destination, kind: isFile ? 'file' : 'directory' };
    });
  }

  /** A script that the step runs by its path. */
  async addScript(path: string, content: string): Promise<void> {
    const file = this.#parts.temporary();
    await writeFile(file, content, { flag: 'wx' });
    await chmod(file, 0o755);
    this.#held.defer(() => rm(file, { force: true }));
    this.#bind(path, file, true);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#held.disposeAsync();
  }

  #bind(destination: string, source: string, readOnly: boolean): void {
    this.mounts.push({
      type: 'bind',
      destination,
      source,
      readOnly,
      recursive: false,
      readOnlyRecursion: 'off',
      propagation: '',
    });
  }

  /** The source, held by a mount of its own so that no link in it leads anywhere else. */
  async #source(one: BindRunMount): Promise<string> {
    const place = await sourcePlace(this.#parts, one);
    const held = openSource(place, one.source);
    try {
      const point = this.#parts.temporary();
      const lower = `/proc/self/fd/${held}`;
      if (await isFile(this.#parts, one)) await writeFile(point, '', { flag: 'wx' });
      else await mkdir(point);
      bindMount(lower, point, { flags: MS_RDONLY });
      this.#held.defer(async () => void (await unmountAside(point)));
      if (!one.writable) return point;
      return await this.#writableCopy(one, point);
    } finally {
      closeSync(held);
    }
  }

  /** What is written goes to a directory of this run, which is thrown away. */
  async #writableCopy(one: BindRunMount, lower: string): Promise<string> {
    const scratch = this.#parts.temporary();
    await Promise.all(['upper', 'work', 'merged'].map((name) => mkdir(join(scratch, name), { recursive: true })));
    this.#held.defer(() => rm(scratch, { recursive: true, force: true }));
    if (await isFile(this.#parts, one)) {
      await copySelection(
        {
          ...WHOLE,
          root: join(lower, '..'),
          ignore: [],
          keepOwner: true,
          sourceName: 'mount',
          sources: [lower.slice(lower.lastIndexOf('/'))],
        },
        { root: join(scratch, 'merged'), destination: '/file' },
        this.#parts.signal,
      );
      return join(scratch, 'merged', 'file');
    }
    const merged = join(scratch, 'merged');
    const options = [`lowerdir=${lower}`, `upperdir=${join(scratch, 'upper')}`, `workdir=${join(scratch, 'work')}`];
    mount({ type: 'overlay', source: 'overlay', options }, merged);
    this.#held.defer(async () => void (await unmountAside(merged)));
    return merged;
  }

  async #fill(one: CacheRunMount, directory: string): Promise<void> {
    if (one.from === undefined) return;
    const { name, ...place } = await this.#parts.place(one.from);
    // Steps write into it: it must be a copy.
    const selection = { ...place, ...WHOLE, sources: [one.source], sourceName: name, steady: undefined };
    await copySelection(selection, { root: directory, destination: '/' }, this.#parts.signal);
  }
}

const WHOLE = { exclude: [], parents: false, unpack: false } as const;

/** What a RUN runs, and the script that it needs for it. */
export interface RunScript {
  readonly command: RunInstruction['command'];
  readonly script?: { readonly path: string; readonly content: string };
}

/** A RUN's heredocs become part of its command: `RUN <<EOF` is a script for the shell or its own interpreter, `RUN cmd <<EOF` input that the shell gives. */
export function withHeredocs({ command, heredocs }: RunInstruction): RunScript {
  if (command.form === 'exec' || heredocs.length === 0) return { command };
  const only = heredocs[0]!;
  if (heredocs.length === 1 && /^<<-?["']?[^\s"']+["']?$/.test(command.line)) {
    if (!only.content.startsWith('#!')) return { command: { form: 'shell', line: only.content } };
    const path = `/dev/pipes/${only.name}`;
    return { command: { form: 'shell', line: path }, script: { path, content: only.content } };
  }
  const bodies = heredocs.map((heredoc) => `${heredoc.content}${heredoc.name}\n`).join('');
  return { command: { form: 'shell', line: `${command.line}\n${bodies}` } };
}

/** The place of a bind's source. Of a context with ignored files, what is left of it is copied: they must not be seen. */
async function sourcePlace(parts: RunMountParts, one: BindRunMount): Promise<string> {
  const { name, ...place } = await parts.place(one.from);
  if (place.ignore.length === 0) return place.root;
  const root = parts.temporary();
  await mkdir(root);
  const selection = { ...place, ...WHOLE, sources: [one.source], parents: true, sourceName: name };
  await copySelection(selection, { root, destination: '/' }, parts.signal);
  return root;
}

async function isFile(parts: RunMountParts, one: BindRunMount): Promise<boolean> {
  const { root } = await parts.place(one.from);
  const fd = openSource(root, one.source);
  try {
    return !fstatSync(fd).isDirectory();
  } finally {
    closeSync(fd);
  }
}

function openSource(root: string, source: string): number {
  try {
    return openInRoot(root, source, O_PATH);
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOENT') throw error;
    throw new EngineError('not-found', `${JSON.stringify(source)}: not found`, { cause: error });
  }
}
