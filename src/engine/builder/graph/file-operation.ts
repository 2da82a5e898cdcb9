import { posix } from 'node:path';
import { EngineError, errorCode } from '../../../base/errors.ts';
import {
  changeFiles,
  copySelection,
  type CopySelection,
  digestSelection,
  type PendingLinks,
} from '../../../build/copy-files.ts';
import type { PathChange } from '../../../build/file-changes.ts';
import { changeMode } from '../../../build/file-mode.ts';
import { statInRoot } from '../../../linux/rooted.ts';
import { sha256 } from '../../../oci/digest.ts';
import type { StepInput } from '../../../state/build-records.ts';
import type { CopyChange, FileAction, FileOwner } from './graph.ts';
import { cached, makeLayer, placeOf, stackOf, type VertexContext } from './graph-context.ts';
import { EMPTY, type GraphValue, type LayerStack } from './layer-stack.ts';

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** An action whose sources are there and known by content. */
interface ResolvedAction {
  readonly text: string;
  readonly input: StepInput;
  /** Gives what it left out, where it is the last and may. */
  apply(root: string): Promise<PendingLinks | undefined>;
}

/** Changes files; each result is one layer upon what its chain of actions begins with. */
export class FileOperation {
  readonly #context: VertexContext;
  readonly #actions: readonly FileAction[];
  readonly #inputs: readonly GraphValue[];
  readonly #made = new Map<number, Promise<LayerStack>>();

  constructor(context: VertexContext, actions: readonly FileAction[], inputs: readonly GraphValue[]) {
    this.#context = context;
    this.#actions = actions;
    this.#inputs = inputs;
  }

  /** The vertex's results by their numbers. */
  async results(): Promise<(GraphValue | undefined)[]> {
    const results: (GraphValue | undefined)[] = [];
    for (const [index, { output }] of this.#actions.entries())
      if (output !== undefined) results[output] = await this.#action(index);
    return results;
  }

  /** An input, or what an action gave. */
  async #value(index: number): Promise<GraphValue> {
    if (index < 0) return EMPTY;
    return this.#inputs[index] ?? this.#action(index - this.#inputs.length);
  }

  #action(index: number): Promise<LayerStack> {
    let made = this.#made.get(index);
    if (!made) this.#made.set(index, (made = this.#make(index)));
    return made;
  }

  async #make(last: number): Promise<LayerStack> {
    const chain: FileAction[] = [];
    let base = last + this.#inputs.length;
    while (base >= this.#inputs.length) {
      const action = this.#actions[base - this.#inputs.length]!;
      chain.unshift(action);
      base = action.input;
    }
    const stack = await stackOf(this.#context, await this.#value(base));
    const resolved: ResolvedAction[] = [];
    for (const action of chain) resolved.push(await this.#resolve(action, action === chain.at(-1)));
    const step = {
      kind: 'FILE',
      text: resolved.map(({ text }) => text).join(' && '),
      inputs: resolved.map(({ input }, index) => ({ ...input, name: `${index + 1} ${input.name}` })),
    };
    return cached(this.#context, stack, step, (key) =>
      makeLayer(this.#context, stack, key, async (root) => {
        let pending: PendingLinks | undefined;
        for (const action of resolved) pending = await action.apply(root);
        return pending;
      }),
    );
  }

  /** @param last nothing is changed after it in the same layer */
  async #resolve({ change }: FileAction, last: boolean): Promise<ResolvedAction> {
    const { signal } = this.#context;
    if (change.kind === 'copy') return this.#copy(change, last);
    const plain: PathChange = change.kind === 'remove' ? change : { ...change, owner: await this.#owner(change.owner) };
    const told = plain.kind === 'file' ? { ...plain, data: sha256(plain.data) } : plain;
    return {
      text: `${VERBS[change.kind]} ${change.path}`,
      input: {
        name: change.kind,
        value: JSON.stringify(told, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
      },
      apply: async (root) => {
        await changeFiles(root, [plain], signal);
        return undefined;
      },
    };
  }

  async #owner(owner: FileOwner | undefined): Promise<Owner | undefined> {
    if (!owner) return undefined;
    const look = async (text: string, input: number): Promise<Owner> =>
      this.#context.parts.lookUpOwner(async () => {
        const stack = await stackOf(this.#context, await this.#value(input));
        return this.#context.views.of(stack.chain);
      }, text);
    const { user = '0', group } = owner;
    // Without a group it is the user's own; of a number, the group of that number.
    const own = await look(user, owner.userInput);
    return group === undefined ? own : { uid: own.uid, gid: (await look(`0:${group}`, owner.groupInput)).gid };
  }

  async #copy(change: CopyChange, last: boolean): Promise<ResolvedAction> {
    const { signal } = this.#context;
    const { name, ...place } = await placeOf(this.#context, await this.#value(change.from));
    const source = change.wildcard ? change.source : escapeWildcards(change.source);
    const selection: CopySelection = {
      ...place,
      // A later action may write into the copy, as may what is unpacked beside it.
      steady: last && !change.unpack && !change.replace ? place.steady : undefined,
      sources: [source],
      exclude: [
        ...(change.include.length > 0 ? ['**', ...change.include.map((one) => `!${one}`)] : []),
        ...change.exclude,
      ],
      parents: false,
      owner: await this.#owner(change.owner),
      mode: change.mode,
      unpack: change.unpack,
      keepLinks: !change.followLinks,
      replace: change.replace,
      sourceName: name,
      time: change.time === undefined ? undefined : Number(change.time / 1_000_000_000n),
    };
    for (const path of change.required)
      if (!kindIn(place.root, posix.join('/', change.source, path)))
        throw new EngineError('not-found', `failed to calculate checksum of ${name}: "${path}": not found`);
    const { digest, files } = await digestSelection(selection, signal).catch((error: unknown) => {
      if (errorCode(error) !== 'not-found') throw error;
      throw new EngineError('not-found', `failed to calculate checksum of ${name}: "${change.source}": not found`, {
        cause: error,
      });
    });
    if (files === 0 && !(change.wildcard && change.allowNothing))
      throw new EngineError('not-found', `${change.source} not found in ${name}`);
    const { destination, contents, makeParents, unpack, time } = change;
    const how = [digest, destination, contents, makeParents, unpack];
    const asIs = contents ? [] : [posix.basename(change.source)];
    return {
      text: `COPY ${change.source} ${destination}`,
      input: {
        name: 'copy',
        value: JSON.stringify([...how, asIs, String(time ?? ''), ...(change.replace ? ['replace'] : [])]),
      },
      apply: (root) => this.#applyCopy(root, change, selection),
    };
  }

  async #applyCopy(root: string, change: CopyChange, selection: CopySelection): Promise<PendingLinks | undefined> {
    const { signal, parts } = this.#context;
    const written = change.destination;
    const linksLater = selection.steady === undefined ? undefined : (true as const);
    const asDirectory = /(^|\/)\.?$/.test(written);
    const path = posix.resolve('/', written);
    if (!change.makeParents && !kindIn(root, posix.dirname(path)))
      throw new EngineError('not-found', `failed to stat ${written}: its directory is not there`);
    const destination = asDirectory && path !== '/' ? `${path}/` : path;
    const base = posix.basename(posix.resolve('/', change.source));
    const intoDirectory = asDirectory || kindIn(root, path) === 'directory';
    const isDirectory = !change.wildcard && kindIn(selection.root, change.source) === 'directory';
    if (!change.contents && base !== '' && intoDirectory) {
      // A directory keeps its name, and what it is, in the one that it is copied to.
      const kept = selection.sources[0]!.replace(/\/+$/, '');
      const cut = kept.lastIndexOf('/') + 1;
      const patterns = selection.exclude.map((pattern) => belowOf(pattern, change.wildcard ? '*' : base));
      const sources = [`${kept.slice(0, cut)}./${kept.slice(cut)}`];
      const moved = { ...selection, sources, parents: true, exclude: patterns };
      const into = { root, destination: `${path}/`, linksLater };
      const { archives, pending } = await copySelection(moved, into, signal);
      for (const { path: archive } of archives)
        await parts.unpack(archive, root, { destination, owner: selection.owner, signal });
      return pending;
    }
    const { archives, pending } = await copySelection(selection, { root, destination, linksLater }, signal);
    for (const { path: archive } of archives)
      await parts.unpack(archive, root, { destination, owner: selection.owner, signal });
    if (change.contents || !isDirectory || path === '/') return pending;
    // It is the directory itself under another name.
    const from = statInRoot(selection.root, change.source);
    const owner = selection.owner ?? (selection.keepOwner ? { uid: Number(from.uid), gid: Number(from.gid) } : ROOT);
    const mode = changeMode(Number(from.mode) & 0o7777, selection.mode, true);
    const time = change.time ?? from.mtimeNs;
    await changeFiles(root, [{ kind: 'attributes', path, mode, owner, time }], signal);
    return pending;
  }
}

const ROOT: Owner = { uid: 0, gid: 0 };

const VERBS = { file: 'mkfile', directory: 'mkdir', symlink: 'symlink', remove: 'rm' } as const;

function escapeWildcards(path: string): string {
  return path.replaceAll(/[\\*?[]/g, '\\$&');
}

/** A pattern about what is below a directory, as one about what is below its parent. */
function belowOf(pattern: string, name: string): string {
  const negated = pattern.startsWith('!');
  const text = negated ? pattern.slice(1) : pattern;
  const below = text === '**' ? `${name}/**` : `${name}/${text}`;
  return negated ? `!${below}` : below;
}

function kindIn(root: string, path: string): 'directory' | 'other' | undefined {
  try {
    return statInRoot(root, path).isDirectory() ? 'directory' : 'other';
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errorCodeOf(error))) return undefined;
    throw error;
  }
}

function errorCodeOf(error: unknown): string {
  return (error as { code?: string }).code ?? errorCode(error);
}
