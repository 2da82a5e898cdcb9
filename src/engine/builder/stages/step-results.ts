import { mkdir } from 'node:fs/promises';
import { EngineError, errorMessage } from '../../../base/errors.ts';
import { sealChanges } from '../../../build/copy-files.ts';
import type { Digest } from '../../../oci/digest.ts';
import { MAX_LAYERS } from '../../../oci/image-config.ts';
import type { ScaffoldEntry } from '../../../snapshot/scaffold.ts';
import type { TimeRule } from '../../../snapshot/settled-times.ts';
import type { ContainerIds } from '../../../state/containers.ts';
import type { BuildRecord } from '../../../state/build-records.ts';
import type { CopiedFiles } from '../copy-step.ts';
import { explainStep } from '../explain.ts';
import type { Solve } from './solve.ts';
import type { StageRun, Step } from './stage-context.ts';
import { type StageState, stepKey } from './stage-state.ts';

/** What steps give: taken from the cache, or made as a layer. */
export class StepResults {
  readonly #solve: Solve;

  constructor(solve: Solve) {
    this.#solve = solve;
  }

  /** The record of a step: from the cache, from another build that makes it now, or made. */
  async of(
    state: StageState,
    { kind, text, inputs, run, output }: Step,
    make: (key: Digest) => Promise<BuildRecord['layer']>,
  ): Promise<BuildRecord> {
    const { request, lease, cache, turn, imports, epoch } = this.#solve.context;
    const { records, snapshotter } = this.#solve.context.parts;
    const times = epoch === undefined ? [] : [{ name: 'SOURCE_DATE_EPOCH', value: String(epoch) }];
    const key = stepKey(state.key, kind, [...inputs, ...times]);
    const { stage, index } = run.planned;
    const slot = `${stage.name ?? index} ${run.position} ${kind}`;
    const filter = request.noCacheFilter ?? [];
    const fresh =
      request.noCache === true || filter.some((name) => name.toLowerCase() === (stage.name ?? String(index)));
    // As old as its base, or as was asked: the same inputs give the same image, whenever and wherever.
    const createdAt =
      epoch === undefined ? state.createdAt : new Date(epoch * 1000).toISOString().replace('.000Z', 'Z');
    const { record, origin } = await cache.get({
      key,
      chain: state.chain,
      lease,
      signal: this.#solve.signal,
      fresh,
      turn,
      imports,
      step: { kind, text, inputs, slot, state, createdAt, givesOutput: output !== undefined },
      onMiss: () => {
        if (request.explain === true)
          run.announce(
            explainStep({ records, snapshotter }, { key, slot, inputs, state, request, place: this.#placeOf(run) }),
          );
      },
      make: async () => ({
        key,
        parent: state.key,
        text,
        layer: await make(key),
        ...(output && { output: output() }),
        createdAt,
        usedAt: Date.now(),
        uses: 0,
        slot,
        inputs,
      }),
    });
    if (origin === 'cached') run.note(' ---> Using cache\n');
    if (origin === 'shared') run.note(' ---> Shared with another build\n');
    run.last = origin;
    this.#solve.steps.push({ vertex: run.vertex, record, origin });
    return record;
  }

  /** The file and line of an instruction that is not of the Dockerfile itself. */
  #placeOf({ vertex }: StageRun): string | undefined {
    const { source } = this.#solve.context;
    const { file, line } = source.at(vertex.line);
    return file === source.files[0] ? undefined : `${file.name}:${line}`;
  }

  /** Makes a layer over the state's files: `work` gets them mounted read-write, seen with the `ids` of a user namespace if given. */
  async layer(
    state: StageState,
    key: Digest,
    { scaffold = [], ids }: { readonly scaffold?: readonly ScaffoldEntry[]; readonly ids?: ContainerIds | undefined },
    work: (rootfs: string, times: TimeRule) => Promise<CopiedFiles | void>,
  ): Promise<BuildRecord['layer']> {
    checkDepth(state);
    const { lease, parts } = this.#solve.context;
    const { signal } = this.#solve;
    const newest = this.#solve.context.epoch ?? Math.max(0, Math.floor(Date.parse(state.createdAt) / 1000) || 0);
    return this.#active(state, { key, scaffold, ids }, async (name, mounted) => {
      const copied = await mounted((rootfs) => work(rootfs, { seconds: newest, exact: false }));
      const digest = await sealChanges(parts.snapshotter.changesDir(name), {
        pending: copied?.pending,
        times: { seconds: copied?.time ?? newest, exact: copied?.time !== undefined },
        signal,
      });
      return parts.commitLayer(name, { parent: state.chain, lease, digest, signal });
    });
  }

  /** The same for work whose changes are nobody's: they are thrown away. */
  async apart(
    state: StageState,
    key: Digest,
    { scaffold = [], ids }: { readonly scaffold?: readonly ScaffoldEntry[]; readonly ids?: ContainerIds | undefined },
    work: (rootfs: string) => Promise<void>,
  ): Promise<void> {
    const { snapshotter } = this.#solve.context.parts;
    await this.#active(state, { key, scaffold, ids }, async (name, mounted) => {
      await mounted(work);
      await snapshotter.remove(name);
    });
  }

  /** Files over the state's for as long as `use` takes; what it leaves of them when it fails is removed. */
  async #active<T>(
    state: StageState,
    {
      key,
      scaffold,
      ids,
    }: {
      readonly key: Digest;
      readonly scaffold: readonly ScaffoldEntry[];
      readonly ids: ContainerIds | undefined;
    },
    use: (name: string, mounted: <R>(work: (rootfs: string) => Promise<R>) => Promise<R>) => Promise<T>,
  ): Promise<T> {
    const { parts } = this.#solve.context;
    const name = `build-${key.slice(7, 31)}-${process.hrtime.bigint().toString(36)}`;
    if (ids) this.#solve.context.directory.letIn(ids);
    const rootfs = this.#solve.temporary();
    await mkdir(rootfs);
    await parts.snapshotter.prepare(name, state.chain, { scaffold });
    try {
      return await use(name, async (work) => {
        await parts.mountActive(name, rootfs, ids);
        try {
          return await work(rootfs);
        } finally {
          await parts.unmount(rootfs);
        }
      });
    } catch (error) {
      await parts.snapshotter.remove(name).catch((cause: unknown) => {
        throw new EngineError(
          'internal',
          `${errorMessage(error)}; and its layer could not be removed: ${errorMessage(cause)}`,
          { cause },
        );
      });
      throw error;
    }
  }
}

/** Throws `too-large` where the stage cannot have one more layer: as an image it could have no more, and each would take longer than the last. */
export function checkDepth({ diffIds }: Pick<StageState, 'diffIds'>): void {
  if (diffIds.length < MAX_LAYERS) return;
  throw new EngineError(
    'too-large',
    `max depth exceeded: an image has at most ${MAX_LAYERS} layers, and each RUN, COPY and ADD makes one: put several into one instruction`,
  );
}
