import { chmod, chown, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { closeSync, fstatSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { copySelection, digestSelection } from '../../build/copy-files.ts';
import type { RunInstruction } from '../../build/dockerfile/instructions.ts';
import type { BindRunMount, CacheRunMount, RunMount, SecretRunMount, SshRunMount } from '../../build/run-mount.ts';
import { O_PATH } from '../../linux/files.ts';
import { mountWithMaps, shiftMap } from '../../linux/idmapped-mount.ts';
import { bindMount, mount, MS_RDONLY, unmountAside } from '../../linux/mount.ts';
import { openInRoot } from '../../linux/rooted.ts';
import type { ChainId } from '../../oci/digest.ts';
import type { UserMount } from '../../runtime/spec/mounts.ts';
import type { ScaffoldEntry } from '../../snapshot/scaffold.ts';
import { shifted } from '../../snapshot/shifted-ids.ts';
import type { ContainerIds } from '../../state/containers.ts';
import type { StepInput } from '../../state/build-records.ts';
import type { BuildSession } from './build-session.ts';
import type { CacheMounts } from './cache-mounts.ts';
import type { FilesPlace } from './copy-step.ts';
import { SshAgentSocket } from './ssh-agent-socket.ts';

export interface RunMountParts {
  place(from: string | undefined): Promise<FilesPlace>;
  /** Files of layers as a user namespace sees them, for as long as the build takes. */
  view(chain: ChainId, ids: ContainerIds): Promise<string>;
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

/**
 * The mounts of one run of a step, on the host, as the user namespace that it runs in sees them: whose files are whose is
 * the same inside with and without one. Dispose them when it has ended.
 */
export class PreparedRunMounts implements AsyncDisposable {
  readonly mounts: UserMount[] = [];
  /** Variables that come with them: neither in a cache key nor in the history. */
  readonly env: string[] = [];
  readonly #parts: RunMountParts;
  readonly #ids: ContainerIds | undefined;
  readonly #held = new AsyncDisposableStack();
  #memoryDirectory: Promise<string> | undefined;

  constructor(parts: RunMountParts, ids: ContainerIds | undefined) {
    this.#parts = parts;
    this.#ids = ids;
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
        return this.#bind(one.target, this.#ids ? await this.#shifted(held.path, this.#ids) : held.path, one.readOnly);
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
    await this.#giveTo(file, one);
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
    await this.#giveTo(agent.path, one);
    await chmod(agent.path, one.mode);
    this.#bind(target, agent.path, false);
  }

  /** A directory in memory: what is in it is never on a disk. */
  async #memory(): Promise<string> {
    this.#memoryDirectory ??= (async () => {
      const directory = this.#parts.temporary();
      await mkdir(directory);
      // What a mount forbids is locked in a user namespace, where older runtimes cannot mount it anew, read-only.
      const forbidden = this.#ids ? [] : ['nosuid', 'nodev', 'noexec'];
      mount({ type: 'tmpfs', source: 'tmpfs', options: ['size=16m', 'mode=0711', ...forbidden] }, directory);
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
    await this.#giveTo(file, { uid: 0, gid: 0 });
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
    const ids = this.#ids;
    const file = await isFile(this.#parts, one);
    const copied = file && one.writable;
    const place = await sourcePlace(this.#parts, one, copied ? undefined : ids);
    const point = this.#parts.temporary();
    const held = openSource(place.root, one.source);
    try {
      if (file) await writeFile(point, '', { flag: 'wx' });
      else await mkdir(point);
      bindMount(`/proc/self/fd/${held}`, point, { flags: MS_RDONLY });
      this.#held.defer(async () => void (await unmountAside(point)));
    } finally {
      closeSync(held);
    }
    if (copied) {
      const copy = await this.#copy(point, file);
      return ids ? this.#shifted(copy, ids) : copy;
    }
    if (!ids || place.shifted) return one.writable ? this.#writable(point) : point;
    let seen: string;
    try {
      seen = await this.#shifted(point, ids);
    } catch {
      // The filesystem of a context need not have such mounts: the data root's has.
      return this.#shifted(await this.#copy(point, file), ids);
    }
    return one.writable ? this.#writable(seen) : seen;
  }

  /** The directory or file with the ids of the user namespace. Throws `unavailable`. */
  async #shifted(source: string, ids: ContainerIds): Promise<string> {
    const point = this.#parts.temporary();
    if ((await stat(source)).isDirectory()) await mkdir(point);
    else await writeFile(point, '', { flag: 'wx' });
    try {
      await mountWithMaps(source, point, { uid: shiftMap(ids.uid), gid: shiftMap(ids.gid) });
    } catch (error) {
      throw new EngineError('unavailable', `a user namespace needs idmapped mounts: ${errorMessage(error)}`, {
        cause: error,
      });
    }
    this.#held.defer(async () => void (await unmountAside(point)));
    return point;
  }

  /** Owner and group as the step sees them. */
  async #giveTo(path: string, { uid, gid }: { readonly uid: number; readonly gid: number }): Promise<void> {
    const ids = this.#ids;
    await chown(path, ids ? shifted(uid, ids.uid) : uid, ids ? shifted(gid, ids.gid) : gid);
  }

  /** A copy that goes with the run. */
  async #copy(source: string, file: boolean): Promise<string> {
    const scratch = this.#parts.temporary();
    await mkdir(scratch);
    this.#held.defer(() => rm(scratch, { recursive: true, force: true }));
    const selection = file
      ? { root: join(source, '..'), sources: [source.slice(source.lastIndexOf('/'))] }
      : { root: source, sources: ['/'] };
    await copySelection(
      { ...WHOLE, ...selection, ignore: [], keepOwner: true, sourceName: 'mount' },
      { root: scratch, destination: file ? '/file' : '/' },
      this.#parts.signal,
    );
    return file ? join(scratch, 'file') : scratch;
  }

  /** What is written goes to a directory of this run, which is thrown away. */
  async #writable(lower: string): Promise<string> {
    const scratch = this.#parts.temporary();
    await Promise.all(['upper', 'work', 'merged'].map((name) => mkdir(join(scratch, name), { recursive: true })));
    this.#held.defer(() => rm(scratch, { recursive: true, force: true }));
    // The root of an overlay is the upper directory's: it is as the one below.
    const { uid, gid, mode } = await stat(lower);
    await chown(join(scratch, 'upper'), uid, gid);
    await chmod(join(scratch, 'upper'), mode & 0o7777);
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

/**
 * The place of a bind's source, and whether it is seen with the ids that are given: layers are, by a mount of their own. Of
 * a context with ignored files, what is left of it is copied: they must not be seen.
 */
async function sourcePlace(
  parts: RunMountParts,
  one: BindRunMount,
  ids: ContainerIds | undefined,
): Promise<{ readonly root: string; readonly shifted: boolean }> {
  const { name, ...place } = await parts.place(one.from);
  if (place.ignore.length === 0) {
    if (!ids || place.chain === undefined) return { root: place.root, shifted: false };
    return { root: await parts.view(place.chain, ids), shifted: true };
  }
  const root = parts.temporary();
  await mkdir(root);
  const selection = { ...place, ...WHOLE, sources: [one.source], parents: true, sourceName: name };
  await copySelection(selection, { root, destination: '/' }, parts.signal);
  return { root, shifted: false };
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
