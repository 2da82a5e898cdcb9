import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { closeSync, fstatSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError } from '../../base/errors.ts';
import { copySelection, digestSelection } from '../../build/copy-files.ts';
import type { RunInstruction } from '../../build/dockerfile/instructions.ts';
import type { BindRunMount, CacheRunMount, RunMount } from '../../build/run-mount.ts';
import { O_PATH } from '../../linux/files.ts';
import { bindMount, mount, MS_RDONLY, unmount } from '../../linux/mount.ts';
import { openInRoot } from '../../linux/rooted.ts';
import type { UserMount } from '../../runtime/spec/mounts.ts';
import type { ScaffoldEntry } from '../../snapshot/scaffold.ts';
import type { StepInput } from '../../state/build-records.ts';
import type { CacheMounts } from './cache-mounts.ts';
import type { FilesPlace } from './copy-step.ts';

export interface RunMountParts {
  place(from: string | undefined): Promise<FilesPlace>;
  /** An empty name in the build's own directory. */
  temporary(): string;
  readonly caches: CacheMounts;
  readonly signal: AbortSignal | undefined;
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

/** Mount points that the step has and its layer has not. */
export async function mountPoints(parts: RunMountParts, mounts: readonly RunMount[]): Promise<ScaffoldEntry[]> {
  const points: ScaffoldEntry[] = [];
  for (const one of mounts) {
    if (!('target' in one)) continue;
    points.push({ path: one.target, kind: one.type === 'bind' && (await isFile(parts, one)) ? 'file' : 'directory' });
  }
  return points;
}

/** The mounts of one run of a step, on the host. Dispose them when it has ended. */
export class PreparedRunMounts implements AsyncDisposable {
  readonly mounts: UserMount[] = [];
  readonly #parts: RunMountParts;
  readonly #held = new AsyncDisposableStack();

  constructor(parts: RunMountParts) {
    this.#parts = parts;
  }

  /** Throws `not-found` when a source is not there, or a secret is required that no client gives. */
  async add(one: RunMount): Promise<void> {
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
      case 'ssh':
        if (one.required) {
          const what = one.type === 'ssh' ? `unset ssh forward key ${one.id}` : `secret ${one.id}: not found`;
          throw new EngineError('not-found', `${what}: this way of building sends none`);
        }
    }
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
      this.#held.defer(() => void unmount(point, { detach: true }));
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
    this.#held.defer(() => void unmount(merged, { detach: true }));
    return merged;
  }

  async #fill(one: CacheRunMount, directory: string): Promise<void> {
    if (one.from === undefined) return;
    const { name, ...place } = await this.#parts.place(one.from);
    const selection = { ...place, ...WHOLE, sources: [one.source], sourceName: name };
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
