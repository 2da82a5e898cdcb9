import { mkdir, rm } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { EngineError, errorMessage } from '../../base/errors.ts';
import type { OperationOptions } from '../../base/operation.ts';
import { now } from '../../base/time.ts';
import { copySelection, type CopySelection, digestSelection } from '../../build/copy-files.ts';
import { expandWord, type Lookup } from '../../build/dockerfile/expand.ts';
import {
  type CopyInstruction,
  type Instruction,
  readInstruction,
  type RunInstruction,
} from '../../build/dockerfile/instructions.ts';
import { parseDockerfile } from '../../build/dockerfile/parse.ts';
import { type BuildPlan, type PlannedStage, stageOf } from '../../build/plan.ts';
import { changeConfig, commandArgv, variable } from '../../build/stage-config.ts';
import { type ChainId, type Digest, type DiffId, sha256 } from '../../oci/digest.ts';
import type { HistoryEntry, ImageRunConfig } from '../../oci/image.ts';
import type { BuildRecord } from '../../state/build-records.ts';
import type { Lease } from '../../state/leases.ts';
import type { ResolvedImage } from '../containers/parts.ts';
import type { BuildRequest } from '../engine.ts';
import type { BuilderParts } from './builder.ts';

/** What a stage is after some of its steps. Values are immutable; a step makes the next one. */
export interface StageState {
  readonly config: ImageRunConfig;
  readonly diffIds: readonly DiffId[];
  readonly chain: ChainId | undefined;
  readonly history: readonly HistoryEntry[];
  /** Of the last step. */
  readonly createdAt: string;
  /** Hash of everything that led here. */
  readonly key: Digest;
  /** The base image, when nothing was done on it yet. */
  readonly imageId: Digest | undefined;
}

export interface StageContext {
  readonly parts: BuilderParts;
  readonly request: BuildRequest;
  readonly plan: BuildPlan;
  /** Directory of this build, removed after it. */
  readonly directory: string;
  /** Root of the unpacked context. */
  readonly contextRoot: string;
  readonly ignore: readonly string[];
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly platformArgs: ReadonlyMap<string, string>;
  /** Keeps the layers of this build from collection. */
  readonly lease: Lease;
  readonly announce: (text: string) => void;
  readonly options: OperationOptions;
}

/** Proxy settings that RUN steps see without an ARG, and that no cache key depends on. */
const PROXY_ARGS = new Set([
  'HTTP_PROXY',
  'http_proxy',
  'HTTPS_PROXY',
  'https_proxy',
  'FTP_PROXY',
  'ftp_proxy',
  'NO_PROXY',
  'no_proxy',
  'ALL_PROXY',
  'all_proxy',
]);

/** Builds the stages of a plan, one step after the other, each from the cache when its record is there. */
export class StageBuilder {
  readonly #context: StageContext;
  readonly #finished = new Map<number, StageState>();
  readonly #views = new Map<string, string>();
  #step = 0;
  #steps = 0;
  #snapshots = 0;

  constructor(context: StageContext) {
    this.#context = context;
  }

  async build(): Promise<StageState> {
    const { stages } = this.#context.plan;
    this.#steps = stages.reduce((sum, { stage }) => sum + 1 + stage.instructions.length, 0);
    let last: StageState | undefined;
    try {
      for (const planned of stages) {
        last = await this.#stage(planned);
        this.#finished.set(planned.index, last);
      }
    } finally {
      for (const path of this.#views.values()) await this.#context.parts.unmount(path);
    }
    return last!;
  }

  async #stage(planned: PlannedStage): Promise<StageState> {
    this.#announceStep(planned.stage.original);
    const { state: start, triggers } = await this.#base(planned);
    this.#context.announce(` ---> ${this.#show(start)}\n`);
    const args = new Map<string, string>();
    let state = start;
    if (triggers.length > 0) {
      this.#context.announce(`# Executing ${triggers.length} build trigger${triggers.length === 1 ? '' : 's'}\n`);
      for (const trigger of triggers) {
        const [node] = parseDockerfile(trigger).nodes;
        state = await this.#instruction(state, readInstruction(node!, '\\'), planned, args);
      }
    }
    for (const instruction of planned.stage.instructions) {
      this.#context.options.signal?.throwIfAborted();
      this.#announceStep(instruction.original);
      state = await this.#instruction(state, instruction, planned, args);
      this.#context.announce(` ---> ${this.#show(state)}\n`);
    }
    return state;
  }

  #announceStep(text: string): void {
    this.#step++;
    this.#context.announce(`Step ${this.#step}/${this.#steps} : ${text}\n`);
  }

  /** Twelve digits that stand for the state, as Docker shows an image's after each step. */
  #show(state: StageState): string {
    return (state.imageId ?? state.key).replace('sha256:', '').slice(0, 12);
  }

  async #base(planned: PlannedStage): Promise<{ state: StageState; triggers: readonly string[] }> {
    const { base } = planned;
    if (base.kind === 'stage') return { state: { ...this.#finished.get(base.index)! }, triggers: [] };
    if (base.kind === 'scratch') {
      return {
        state: {
          config: {},
          diffIds: [],
          chain: undefined,
          history: [],
          createdAt: now(),
          key: sha256('scratch'),
          imageId: undefined,
        },
        triggers: [],
      };
    }
    const image = await this.#image(base.reference, planned.platform);
    const { OnBuild: triggers, ...config } = image.config.config ?? {};
    if (image.chain) this.#context.lease.add('snapshot', image.chain);
    return {
      state: {
        config,
        diffIds: image.config.rootfs.diff_ids,
        chain: image.chain,
        history: image.config.history ?? [],
        createdAt: image.config.created ?? now(),
        key: sha256(`image ${image.id}`),
        imageId: image.id,
      },
      triggers: triggers ?? [],
    };
  }

  async #image(reference: string, platform: string | undefined): Promise<ResolvedImage> {
    const { images } = this.#context.parts;
    const { options, request } = this.#context;
    const wanted = platform ?? request.platform;
    if (request.pull !== true) {
      try {
        return await images.resolve(reference, wanted);
      } catch (error) {
        if (!(error instanceof EngineError) || error.code !== 'not-found') throw error;
      }
    }
    await images.pull(reference, { ...options, ...(wanted && { platform: wanted }) });
    return images.resolve(reference, wanted);
  }

  async #instruction(
    state: StageState,
    instruction: Instruction,
    planned: PlannedStage,
    args: Map<string, string>,
  ): Promise<StageState> {
    try {
      return await this.#apply(state, instruction, planned, args);
    } catch (error) {
      // Where it happened, once, in front of what happened.
      if (
        error instanceof EngineError &&
        error.code === 'invalid-argument' &&
        // A command's failure is told in Docker's words, with its exit code.
        !(error instanceof BuildStepFailed) &&
        !error.message.startsWith('dockerfile')
      ) {
        throw new EngineError(error.code, `dockerfile line ${instruction.range.start}: ${error.message}`, {
          cause: error,
        });
      }
      throw error;
    }
  }

  async #apply(
    state: StageState,
    instruction: Instruction,
    planned: PlannedStage,
    args: Map<string, string>,
  ): Promise<StageState> {
    const lookup: Lookup = (name) => variable(state.config, name) ?? args.get(name);
    switch (instruction.kind) {
      case 'ARG': {
        for (const { name, value } of instruction.args) {
          const { buildArgs, platformArgs, plan } = this.#context;
          const given =
            buildArgs.get(name) ??
            (value === undefined ? (plan.globalArgs.get(name) ?? platformArgs.get(name)) : expandWord(value, lookup));
          if (given !== undefined) args.set(name, given);
        }
        const text = `ARG ${instruction.args.map(({ name }) => (args.has(name) ? `${name}=${args.get(name)}` : name)).join(' ')}`;
        // The key does not change: an ARG counts where it is used, in the RUN steps that see it.
        return {
          ...state,
          history: [...state.history, { created: state.createdAt, created_by: text, empty_layer: true }],
        };
      }
      case 'RUN':
        return this.#run(state, instruction, args);
      case 'COPY':
      case 'ADD':
        return this.#copy(state, instruction, planned, lookup);
      case 'WORKDIR': {
        const change = changeConfig(state.config, instruction, lookup)!;
        const path = change.config.WorkingDir!;
        const key = sha256(`${state.key}\n${change.text}`);
        const made = await this.#cached(key, () =>
          this.#layer(state, change.text, key, async (rootfs) => this.#context.parts.makeDirectory(rootfs, path)),
        );
        return this.#next(state, made, change.config);
      }
      default: {
        const change = changeConfig(state.config, instruction, lookup)!;
        const key = sha256(`${state.key}\n${change.text}`);
        const record = await this.#cached(key, async () => ({
          key,
          parent: state.key,
          text: change.text,
          layer: undefined,
          createdAt: now(),
          usedAt: Date.now(),
          uses: 0,
        }));
        return this.#next(state, record, change.config);
      }
    }
  }

  async #run(state: StageState, instruction: RunInstruction, args: ReadonlyMap<string, string>): Promise<StageState> {
    if (instruction.mounts.length > 0) {
      throw new EngineError(
        'unimplemented',
        `dockerfile line ${instruction.range.start}: RUN --mount is not supported by this builder yet`,
      );
    }
    if (instruction.security === 'insecure') {
      throw new EngineError(
        'forbidden',
        `dockerfile line ${instruction.range.start}: RUN --security=insecure is not allowed by this engine`,
      );
    }
    const { request, buildArgs, directory, announce, options } = this.#context;
    const argv = commandArgv(withHeredocs(instruction), state.config);
    const seen = [...args].filter(
      ([name]) =>
        variable({ ...state.config, Env: state.config.Env ?? [] }, name) === undefined ||
        (name === 'PATH' && !state.config.Env?.some((line) => line.startsWith('PATH='))),
    );
    const env = seen.map(([name, value]) => `${name}=${value}`);
    const proxies = [...buildArgs]
      .filter(([name]) => PROXY_ARGS.has(name) && !args.has(name))
      .map(([name, value]) => `${name}=${value}`);
    const text = `RUN ${env.length > 0 ? `|${env.length} ${env.join(' ')} ` : ''}${argv.join(' ')}`;
    const network = instruction.network === 'default' ? (request.networkMode ?? 'default') : instruction.network;
    const key = sha256(
      `${state.key}\n${JSON.stringify(['RUN', argv, env, instruction.network, instruction.security])}`,
    );
    const record = await this.#cached(key, () =>
      this.#layer(state, text, key, async (rootfs) => {
        const own = join(directory, `run-${this.#step}`);
        await mkdir(own, { recursive: true });
        try {
          const code = await this.#context.parts.executor.run({
            rootfs,
            config: state.config,
            args: argv,
            env: [...env, ...proxies],
            networkMode: network,
            privileged: false,
            limits: request.limits,
            request,
            directory: own,
            onOutput: announce,
            signal: options.signal,
          });
          if (code !== 0) {
            throw new BuildStepFailed(`The command '${argv.join(' ')}' returned a non-zero code: ${code}`, code);
          }
        } finally {
          await rm(own, { recursive: true, force: true });
        }
      }),
    );
    return this.#next(state, record, state.config);
  }

  async #copy(
    state: StageState,
    instruction: CopyInstruction,
    planned: PlannedStage,
    lookup: Lookup,
  ): Promise<StageState> {
    const line = `dockerfile line ${instruction.range.start}`;
    if (
      instruction.heredocs.length > 0 ||
      instruction.parents ||
      instruction.checksum ||
      instruction.unpack !== undefined ||
      instruction.keepGitDir
    ) {
      throw new EngineError(
        'unimplemented',
        `${line}: heredocs and the flags --parents, --checksum, --unpack and --keep-git-dir are not supported by this builder yet`,
      );
    }
    const expand = (text: string): string => expandWord(text, lookup);
    const sources = instruction.sources.map(expand);
    for (const source of instruction.kind === 'ADD' ? sources : []) {
      if (/^(https?|git|ssh):|^git@|\.git(#.*)?$/.test(source))
        throw new EngineError(
          'unimplemented',
          `${line}: ADD from ${source.slice(0, 200)} is not supported by this builder yet: fetch it in a RUN step`,
        );
      if (/\.(tar|tgz|tbz2?|txz|tzst|tar\.\w+)$/.test(source))
        throw new EngineError(
          'unimplemented',
          `${line}: ADD of an archive is not supported by this builder yet: COPY it and unpack it in a RUN step`,
        );
    }
    const written = expand(instruction.destination);
    const directory = written.endsWith('/') || written === '.' || written.endsWith('/.') || sources.length > 1;
    if (sources.length > 1 && !written.endsWith('/') && written !== '.' && !written.endsWith('/.')) {
      throw new EngineError(
        'invalid-argument',
        `When using ${instruction.kind} with more than one source file, the destination must be a directory and end with a /`,
      );
    }
    const resolved = posix.resolve('/', state.config.WorkingDir ?? '/', written);
    const destination = directory && resolved !== '/' ? `${resolved}/` : resolved;
    const from = await this.#source(instruction, planned, expand);
    const owner =
      instruction.chown === undefined
        ? undefined
        : await this.#context.parts.lookUpOwner(() => this.#view(state.chain), expand(instruction.chown));
    const selection: CopySelection = {
      ...from,
      sources,
      exclude: [...from.exclude, ...instruction.exclude.map(expand)],
      owner,
      mode: instruction.chmod === undefined ? undefined : octalMode(expand(instruction.chmod), line),
    };
    const { digest } = await digestSelection(selection, this.#context.options.signal);
    const text = `${instruction.kind} ${[instruction.chown && `--chown=${expand(instruction.chown)}`, instruction.chmod && `--chmod=${expand(instruction.chmod)}`, ...sources, destination].filter(Boolean).join(' ')}`;
    const key = sha256(`${state.key}\n${JSON.stringify([instruction.kind, destination, digest])}`);
    const record = await this.#cached(key, () =>
      this.#layer(state, text, key, (rootfs) =>
        copySelection(selection, { root: rootfs, destination }, this.#context.options.signal),
      ),
    );
    return this.#next(state, record, state.config);
  }

  /** Where a COPY takes from: the context, a stage, or an image. */
  async #source(
    instruction: CopyInstruction,
    planned: PlannedStage,
    expand: (text: string) => string,
  ): Promise<Pick<CopySelection, 'root' | 'exclude' | 'keepOwner' | 'sourceName'>> {
    const { plan, contextRoot, ignore } = this.#context;
    if (instruction.from === undefined)
      return { root: contextRoot, exclude: ignore, keepOwner: false, sourceName: 'build context' };
    const stages = plan.stages.reduce<PlannedStage['stage'][]>(
      (all, { index, stage }) => ((all[index] = stage), all),
      [],
    );
    const index = stageOf(
      Array.from({ length: planned.index }, (_, at) => stages[at] ?? UNUSED_STAGE),
      { ...instruction, from: expand(instruction.from) },
      planned.index,
    );
    if (index !== undefined) {
      const state = this.#finished.get(index)!;
      return {
        root: await this.#view(state.chain),
        exclude: [],
        keepOwner: true,
        sourceName: `stage ${stages[index]?.name ?? index}`,
      };
    }
    const image = await this.#image(expand(instruction.from), undefined);
    return {
      root: await this.#view(image.chain),
      exclude: [],
      keepOwner: true,
      sourceName: `image ${instruction.from}`,
    };
  }

  /** The files of a chain, mounted read-only until the build ends. */
  async #view(chain: ChainId | undefined): Promise<string> {
    const name = chain ?? 'empty';
    let path = this.#views.get(name);
    if (!path) {
      path = join(this.#context.directory, `view-${this.#views.size}`);
      await mkdir(path);
      if (chain) {
        await this.#context.parts.mountView(chain, path);
        this.#views.set(name, path);
      }
    }
    return path;
  }

  async #cached(key: Digest, make: () => Promise<BuildRecord>): Promise<BuildRecord> {
    const { records, snapshotter } = this.#context.parts;
    if (this.#context.request.noCache !== true) {
      const record = records.use(key);
      if (record && (record.layer === undefined || snapshotter.stat(record.layer.chain) !== undefined)) {
        if (record.layer) this.#context.lease.add('snapshot', record.layer.chain);
        this.#context.announce(' ---> Using cache\n');
        return record;
      }
    }
    const record = await make();
    records.save(record);
    return record;
  }

  /** Makes a layer over the state's files: `work` gets them mounted read-write. */
  async #layer(
    state: StageState,
    text: string,
    key: Digest,
    work: (rootfs: string) => Promise<unknown>,
  ): Promise<BuildRecord> {
    const { parts, directory, lease, options } = this.#context;
    const name = `build-${key.slice(7, 31)}-${process.hrtime.bigint().toString(36)}`;
    const rootfs = join(directory, `root-${++this.#snapshots}`);
    await mkdir(rootfs);
    await parts.snapshotter.prepare(name, state.chain);
    try {
      await parts.mountActive(name, rootfs);
      try {
        await work(rootfs);
      } finally {
        await parts.unmount(rootfs);
      }
      const layer = await parts.commitLayer(name, { parent: state.chain, lease, signal: options.signal });
      return {
        key,
        parent: state.key,
        text,
        layer,
        createdAt: now(),
        usedAt: Date.now(),
        uses: 0,
      };
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

  #next(state: StageState, record: BuildRecord, config: ImageRunConfig): StageState {
    return {
      config,
      diffIds: record.layer ? [...state.diffIds, record.layer.diffId] : state.diffIds,
      chain: record.layer ? record.layer.chain : state.chain,
      history: [
        ...state.history,
        { created: record.createdAt, created_by: record.text, ...(record.layer ? {} : { empty_layer: true }) },
      ],
      createdAt: record.createdAt,
      key: record.key,
      imageId: undefined,
    };
  }
}

const UNUSED_STAGE = {
  base: '',
  name: undefined,
  platform: undefined,
  range: { start: 0, end: 0 },
  original: '',
  instructions: [],
};

/** A RUN step ended with a code that is not 0: the build's result, not a fault of the engine. */
export class BuildStepFailed extends EngineError {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super('invalid-argument', message);
    this.exitCode = exitCode;
  }
}

/** A RUN's heredocs become part of its command: `RUN <<EOF` is a script for the shell, `RUN cmd <<EOF` input that the shell gives. */
function withHeredocs(instruction: RunInstruction): RunInstruction['command'] {
  const { command, heredocs } = instruction;
  if (command.form === 'exec' || heredocs.length === 0) return command;
  const [only] = heredocs;
  if (heredocs.length === 1 && /^<<-?["']?[^\s"']+["']?$/.test(command.line)) {
    if (only!.content.startsWith('#!')) {
      throw new EngineError(
        'unimplemented',
        `dockerfile line ${instruction.range.start}: a RUN heredoc with an interpreter line is not supported by this builder yet: name the interpreter in front of <<`,
      );
    }
    return { form: 'shell', line: only!.content };
  }
  return {
    form: 'shell',
    line: `${command.line}\n${heredocs.map((heredoc) => `${heredoc.content}${heredoc.name}\n`).join('')}`,
  };
}

function octalMode(text: string, line: string): number {
  if (!/^[0-7]{1,4}$/.test(text))
    throw new EngineError(
      'unimplemented',
      `${line}: --chmod=${text}: only octal modes are supported by this builder yet`,
    );
  return Number.parseInt(text, 8);
}
