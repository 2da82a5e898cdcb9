import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import { clampTimes, CONTEXT_TIME, copySelection, digestSelection } from '../../build/copy-files.ts';
import { expandWord, type Lookup } from '../../build/dockerfile/expand.ts';
import {
  type CopyInstruction,
  type Instruction,
  readInstruction,
  type RunInstruction,
} from '../../build/dockerfile/instructions.ts';
import { parseDockerfile } from '../../build/dockerfile/parse.ts';
import { PROXY_ARGS } from '../../build/proxy-args.ts';
import { type BuildPlan, namedContext, type PlannedStage, stageOf } from '../../build/plan.ts';
import { parseRunMount } from '../../build/run-mount.ts';
import { changeConfig, commandArgv, DEFAULT_PATH, variable } from '../../build/stage-config.ts';
import { type ChainId, type Digest, type DiffId, sha256 } from '../../oci/digest.ts';
import { familiarName, parseReference, withDefaultTag } from '../../oci/reference.ts';
import type { HistoryEntry, ImageConfig, ImageRunConfig } from '../../oci/image.ts';
import type { BuildRecord, StepInput } from '../../state/build-records.ts';
import type { Lease } from '../../state/leases.ts';
import type { ResolvedImage } from '../containers/parts.ts';
import type { BuildOptions, BuildRequest } from '../engine.ts';
import { MOUNT_POINTS } from '../containers/create.ts';
import type { ScaffoldEntry } from '../../snapshot/scaffold.ts';
import type { BuilderParts } from './builder.ts';
import type { BuildEvent, BuildVertex, StepOrigin } from './build-event.ts';
import type { NamedContext } from './contexts.ts';
import { type FilesPlace, resolveCopy } from './copy-step.ts';
import { checkEmulation } from './emulation.ts';
import { explainStep } from './explain.ts';
import { authFor } from './outputs/deliver.ts';
import { OrderedOutput } from './ordered-output.ts';
import { mountInputs, PreparedRunMounts, type RunMountParts, withHeredocs } from './run-step.ts';
import type { SourceSecrets } from './sources/source-secrets.ts';
import type { ResolvedSource, SolvedBuild, SolvedImage, SolvedStep } from './solved-build.ts';
import type { CacheImport, StepCache } from './step-cache.ts';
import type { StepCommand } from './step-executor.ts';
import { Views } from './views.ts';

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
  readonly author: string | undefined;
  /** The base image, when nothing was done on it yet. */
  readonly imageId: Digest | undefined;
}

export interface StageContext {
  readonly parts: BuilderParts;
  readonly request: BuildRequest;
  readonly plan: BuildPlan;
  /** Directory of this build, removed after it. */
  readonly directory: string;
  /** Of the whole engine. */
  readonly cache: StepCache;
  /** Other places that may know a step. */
  readonly imports: readonly CacheImport[];
  readonly onEvent: (event: BuildEvent) => void;
  /** What the client has for places that ask who comes. */
  readonly secrets: SourceSecrets;
  /** The build context. */
  readonly main: FilesPlace;
  /** Names of others, and where they lead. */
  readonly named: ReadonlySet<string>;
  readonly context: (name: string) => Promise<NamedContext>;
  readonly escape: string;
  /** SOURCE_DATE_EPOCH: seconds that nothing which is made may be newer than. */
  readonly epoch: number | undefined;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly platformArgs: ReadonlyMap<string, string>;
  /** Keeps the layers of this build from collection. */
  readonly lease: Lease;
  readonly announce: (text: string) => void;
  readonly options: BuildOptions;
}

/**
 * Builds the stages of a plan, each from the cache when its record is there. Stages are a map of promises: each waits for
 * those that it takes something from, the others run beside it.
 */
export class StageBuilder {
  readonly #context: StageContext;
  readonly #stages = new Map<number, Promise<StageState>>();
  readonly #views: Views;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #output: OrderedOutput;
  readonly #steps: number;
  readonly #solved: SolvedStep[] = [];
  readonly #sources = new Map<string, ResolvedSource>();
  #names = 0;

  constructor(context: StageContext) {
    const { parts, directory, options, plan, announce } = context;
    this.#context = context;
    this.#signal = options.signal ? AbortSignal.any([options.signal, this.#stop.signal]) : this.#stop.signal;
    this.#views = new Views({
      directory,
      mount: (chain, target) => parts.mountView(chain, target),
      unmount: (target) => parts.unmount(target),
    });
    this.#output = new OrderedOutput(plan.stages.length, announce);
    this.#steps = plan.stages.reduce((sum, { stage }) => sum + 1 + stage.instructions.length, 0);
  }

  /** The first failure stops the other stages; it is thrown when all have ended. */
  async build(): Promise<Pick<SolvedBuild, 'target' | 'stages' | 'steps' | 'sources'>> {
    await using _views = this.#views;
    const { stages } = this.#context.plan;
    let first: { readonly error: unknown } | undefined;
    for (const [slot, planned] of stages.entries()) {
      const work = Promise.resolve().then(() => this.#stage(planned, slot, stepsBefore(stages, slot)));
      this.#stages.set(planned.index, work);
    }
    const settled = [...this.#stages.values()].map((work, slot) =>
      work.then(
        () => this.#output.done(slot),
        (error: unknown) => {
          first ??= { error };
          this.#stop.abort();
          if (first.error === error) this.#output.flush(slot);
        },
      ),
    );
    await Promise.all(settled);
    if (first) throw first.error;
    const states = new Map<number, StageState>();
    for (const [index, state] of this.#stages) states.set(index, await state);
    const target = states.get(stages.at(-1)!.index)!;
    return { target, stages: states, steps: this.#solved, sources: [...this.#sources.values()] };
  }

  async #stage(planned: PlannedStage, slot: number, before: number): Promise<StageState> {
    const announce = (text: string): void => this.#output.write(slot, text);
    let number = before;
    const announceStep = (text: string): void => announce(`Step ${++number}/${this.#steps} : ${text}\n`);
    const { stage, index } = planned;
    const vertexOf = (position: number, { original, range }: Pick<Instruction, 'original' | 'range'>): BuildVertex => ({
      id: `${index}.${position}`,
      text: original,
      stage: { index, name: stage.name },
      position,
      total: stage.instructions.length + 1,
      line: range.start,
    });
    const run: StageRun = {
      planned,
      vertex: vertexOf(0, stage),
      note: announce,
      announce: (text) => {
        announce(text);
        this.#event({ type: 'output', vertex: run.vertex, time: Date.now(), text });
      },
      args: new Map(),
      position: 0,
      ownCmd: false,
      last: undefined,
    };
    announceStep(stage.original);
    const { state: start, triggers } = await this.#vertex(run, async () => this.#base(planned, run));
    announce(` ---> ${show(start)}\n`);
    let state = start;
    if (triggers.length > 0) {
      announce(`# Executing ${triggers.length} build trigger${triggers.length === 1 ? '' : 's'}\n`);
      for (const trigger of triggers) {
        for (const node of parseDockerfile(trigger).nodes)
          state = await this.#instruction(state, readInstruction(node, '\\'), run);
      }
    }
    for (const instruction of planned.stage.instructions) {
      this.#signal.throwIfAborted();
      announceStep(instruction.original);
      run.vertex = vertexOf(run.vertex.position + 1, instruction);
      state = await this.#vertex(run, async () => this.#instruction(state, instruction, run));
      announce(` ---> ${show(state)}\n`);
    }
    return state;
  }

  /** Tells of the beginning and the end of a step. */
  async #vertex<T extends StageState | { readonly state: StageState }>(
    run: StageRun,
    work: () => Promise<T>,
  ): Promise<T> {
    const { vertex } = run;
    run.last = undefined;
    this.#event({ type: 'started', vertex, time: Date.now() });
    try {
      const result = await work();
      const { key } = 'state' in result ? result.state : result;
      this.#event({ type: 'done', vertex, time: Date.now(), origin: run.last ?? 'cached', key });
      return result;
    } catch (error) {
      this.#event({ type: 'failed', vertex, time: Date.now(), message: errorMessage(error) });
      throw error;
    }
  }

  #event(event: BuildEvent): void {
    this.#context.onEvent(event);
  }

  async #base(planned: PlannedStage, run: StageRun): Promise<{ state: StageState; triggers: readonly string[] }> {
    const { base } = planned;
    if (base.kind === 'stage') {
      const before = await this.#stages.get(base.index)!;
      const { OnBuild: triggers, ...config } = before.config;
      return { state: { ...before, config }, triggers: triggers ?? [] };
    }
    if (base.kind === 'scratch') {
      return { state: NOTHING, triggers: [] };
    }
    const context = base.kind === 'context' ? await this.#context.context(base.name) : undefined;
    if (context?.kind === 'result') return this.#ofResult(context.image);
    if (context?.kind === 'files') return { state: await this.#ofFiles(context.place, run), triggers: [] };
    const reference = base.kind === 'image' ? base.reference : (context as { readonly reference: string }).reference;
    const image = await this.#image(reference, planned.platform);
    const { OnBuild: triggers, ...config } = image.config.config ?? {};
    this.#usedImage(reference, image, planned.platform);
    return {
      state: {
        config: withPath(config),
        diffIds: image.config.rootfs.diff_ids,
        chain: image.chain,
        history: image.config.history ?? [],
        createdAt: image.config.created ?? SCRATCH_TIME,
        author: image.config.author,
        key: sha256(`image ${image.id}`),
        imageId: image.id,
      },
      triggers: triggers ?? [],
    };
  }

  /** A stage that begins with what another build made. */
  #ofResult({ configText, chain }: SolvedImage): { state: StageState; triggers: readonly string[] } {
    const image = JSON.parse(configText) as ImageConfig;
    if (chain) this.#context.lease.add('snapshot', chain);
    const { OnBuild: triggers, ...config } = image.config ?? {};
    const state = {
      config: withPath(config),
      diffIds: image.rootfs.diff_ids,
      chain,
      history: image.history ?? [],
      createdAt: image.created ?? SCRATCH_TIME,
      author: image.author,
      key: sha256(`image ${sha256(configText)}`),
      imageId: undefined,
    };
    return { state, triggers: triggers ?? [] };
  }

  /** A stage that begins with nothing but the files of a directory. */
  async #ofFiles(place: FilesPlace, run: StageRun): Promise<StageState> {
    const { name, ...files } = place;
    const selection = { ...files, ...WHOLE, sources: ['/'], sourceName: name };
    const { digest, entries } = await digestSelection(selection, this.#signal);
    const inputs = [{ name: 'files', value: digest, ...(entries && { files: entries }) }];
    const time = this.#context.epoch ?? CONTEXT_TIME;
    const record = await this.#cached(NOTHING, { kind: 'FROM', text: `FROM ${name}`, inputs, run }, (key) =>
      this.#layer(NOTHING, key, [], async (rootfs) => {
        await copySelection({ ...selection, time }, { root: rootfs, destination: '/' }, this.#signal);
        return { time };
      }),
    );
    return next(NOTHING, record, NOTHING.config);
  }

  /** What the programs of a stage are for; undefined is this machine. */
  #platformOf({ platform, base }: PlannedStage): string | undefined {
    const below =
      base.kind === 'stage' ? this.#context.plan.stages.find(({ index }) => index === base.index) : undefined;
    return platform ?? (below ? this.#platformOf(below) : this.#context.request.platform);
  }

  async #image(name: string, platform: string | undefined): Promise<ResolvedImage> {
    const { images } = this.#context.parts;
    const { options, request } = this.#context;
    const reference = request.pins ? pinnedName(name, request.pins) : name;
    const wanted = platform ?? request.platform;
    if (request.pull !== true) {
      try {
        return await images.resolve(reference, wanted);
      } catch (error) {
        if (!(error instanceof EngineError) || error.code !== 'not-found') throw error;
      }
    }
    const auth = authFor(request.auth, parseReference(reference));
    try {
      await images.pull(reference, {
        ...options,
        signal: this.#signal,
        ...(auth && { auth }),
        ...(wanted && { platform: wanted }),
      });
    } catch (error) {
      if (!(error instanceof EngineError) || error.message.includes(name) || error.code === 'cancelled') throw error;
      throw new EngineError(error.code, `cannot get the image ${name}: ${error.message}`, { cause: error });
    }
    return images.resolve(reference, wanted);
  }

  #usedImage(name: string, image: ResolvedImage, platform: string | undefined): void {
    this.#sources.set(`${name} ${platform ?? ''}`, { kind: 'image', name, digest: image.id, platform });
    if (image.chain) this.#context.lease.add('snapshot', image.chain);
  }

  async #instruction(state: StageState, instruction: Instruction, run: StageRun): Promise<StageState> {
    run.position++;
    try {
      return await this.#apply(state, instruction, run);
    } catch (error) {
      // Where it happened, once, in front of what happened.
      if (
        error instanceof EngineError &&
        (error.code === 'invalid-argument' || error.code === 'unimplemented') &&
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

  async #apply(state: StageState, instruction: Instruction, run: StageRun): Promise<StageState> {
    const { args } = run;
    const escape = this.#context.escape;
    const lookup: Lookup = (name) => ownVariable(state, name) ?? args.get(name) ?? variable(state.config, name);
    switch (instruction.kind) {
      case 'ARG': {
        for (const { name, value } of instruction.args) {
          const { buildArgs, platformArgs, plan } = this.#context;
          const given =
            buildArgs.get(name) ??
            (value === undefined
              ? (plan.globalArgs.get(name) ?? platformArgs.get(name))
              : expandWord(value, lookup, { escape }));
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
        return this.#run(state, instruction, { run, lookup });
      case 'COPY':
      case 'ADD':
        return this.#copy(state, instruction, { run, lookup });
      case 'WORKDIR': {
        const change = changeConfig(state.config, instruction, lookup, { escape })!;
        const path = change.config.WorkingDir!;
        const owner = await this.#directoryOwner(state);
        const inputs = [
          { name: 'directory', value: path },
          { name: 'owner', value: `${owner.uid}:${owner.gid}` },
        ];
        const record = await this.#cached(state, { kind: 'WORKDIR', text: change.text, inputs, run }, (key) =>
          this.#layer(state, key, [], async (rootfs) => this.#context.parts.makeDirectory(rootfs, path, owner)),
        );
        return next(state, record, change.config);
      }
      default: {
        const change = changeConfig(state.config, instruction, lookup, { escape, ownCmd: run.ownCmd })!;
        if (instruction.kind === 'CMD') run.ownCmd = true;
        const inputs = [{ name: 'configuration', value: change.text }];
        const step = { kind: instruction.kind, text: change.text, inputs, run };
        const record = await this.#cached(state, step, async () => undefined);
        const author = instruction.kind === 'MAINTAINER' ? instruction.text : state.author;
        return { ...next(state, record, change.config), author };
      }
    }
  }

  async #run(
    state: StageState,
    instruction: RunInstruction,
    { run, lookup }: { readonly run: StageRun; readonly lookup: Lookup },
  ): Promise<StageState> {
    const line = `dockerfile line ${instruction.range.start}`;
    const { allow = [] } = this.#context.request;
    if (instruction.security === 'insecure' && !allow.includes('security.insecure'))
      throw new EngineError(
        'forbidden',
        `${line}: RUN --security=insecure is not allowed: build with --allow security.insecure`,
      );
    const { request, buildArgs, parts, escape } = this.#context;
    if (instruction.network === 'host' && request.networkMode !== 'host' && !allow.includes('network.host'))
      throw new EngineError('forbidden', `${line}: RUN --network=host is not allowed: build with --allow network.host`);
    checkEmulation(this.#platformOf(run.planned));
    const { command, script } = withHeredocs(instruction);
    const argv = commandArgv(command, state.config);
    const args = [...run.args].filter(([name]) => ownVariable(state, name) === undefined);
    const env = args.map(([name, value]) => `${name}=${value}`);
    const proxies = [...buildArgs]
      .filter(([name]) => PROXY_ARGS.has(name) && !run.args.has(name))
      .map(([name, value]) => `${name}=${value}`);
    const mountParts: RunMountParts = {
      place: (from) => this.#place(from, { run, line: instruction.range.start }),
      temporary: () => this.#temporary(),
      caches: parts.caches,
      session: this.#context.options.session,
      signal: this.#signal,
    };
    const mounts = instruction.mounts.map((text) =>
      parseRunMount(expandWord(text, lookup, { escape }), state.config.WorkingDir ?? '/'),
    );
    const inputs: StepInput[] = [
      { name: 'command', value: JSON.stringify(argv) },
      ...(script ? [{ name: 'script', value: script.content }] : []),
      ...args.map(([name, value]) => ({ name: `ARG ${name}`, value })),
      ...(await mountInputs(mountParts, mounts)),
      ...(instruction.network === 'default' ? [] : [{ name: 'network', value: instruction.network }]),
      ...surroundings(request, instruction.network),
      ...(instruction.security === 'sandbox' ? [] : [{ name: 'security', value: instruction.security }]),
    ];
    const text = `RUN ${env.length > 0 ? `|${env.length} ${env.join(' ')} ` : ''}${argv.join(' ')}`;
    const record = await this.#cached(state, { kind: 'RUN', text, inputs, run }, async (key) => {
      await using prepared = new PreparedRunMounts(mountParts);
      for (const [index, one] of mounts.entries()) await prepared.add(one, index);
      if (script) await prepared.addScript(script.path, script.content);
      return await this.#layer(state, key, [...MOUNT_POINTS, ...prepared.points], async (rootfs) => {
        const own = this.#temporary();
        await mkdir(own);
        const code = await this.#exitCode({
          rootfs,
          config: state.config,
          args: argv,
          env: [...env, ...proxies, ...prepared.env],
          mounts: prepared.mounts,
          networkMode: instruction.network === 'default' ? (request.networkMode ?? 'default') : instruction.network,
          privileged: instruction.security === 'insecure',
          limits: request.limits,
          request,
          directory: own,
          onOutput: run.announce,
          signal: this.#signal,
        });
        await rm(own, { recursive: true, force: true });
        if (code !== 0) {
          const { start, end } = instruction.range;
          throw new BuildStepFailed(argv.join(' '), code, { lines: { start, end }, config: state.config, argv, env });
        }
      });
    });
    return next(state, record, state.config);
  }

  /** A command that is not there fails as in a shell. */
  async #exitCode(command: StepCommand): Promise<number> {
    try {
      return await this.#context.parts.executor.run(command);
    } catch (error) {
      const code = errorCode(error);
      if (code !== 'no-such-command' && code !== 'not-executable') throw error;
      command.onOutput(`${errorMessage(error)}\n`);
      return code === 'no-such-command' ? 127 : 126;
    }
  }

  async #copy(
    state: StageState,
    instruction: CopyInstruction,
    { run, lookup }: { readonly run: StageRun; readonly lookup: Lookup },
  ): Promise<StageState> {
    const { parts, escape } = this.#context;
    const copy = await resolveCopy(
      {
        place: (from) =>
          this.#place(from && expandWord(from, lookup, { escape }), { run, line: instruction.range.start }),
        owner: (text) => parts.lookUpOwner(() => this.#views.of(state.chain), text),
        temporary: () => this.#temporary(),
        unpack: (archive, rootfs, destination, owner) =>
          parts.unpack(archive, rootfs, { destination, owner, signal: this.#signal }),
        remote: parts.remote,
        secrets: this.#context.secrets,
        onSource: (source) => this.#sources.set(`${source.kind} ${source.name}`, source),
        contextTime: this.#context.epoch ?? CONTEXT_TIME,
        signal: this.#signal,
      },
      instruction,
      { lookup, escape, workingDir: state.config.WorkingDir ?? '/' },
    );
    const step = { kind: instruction.kind, text: copy.text, inputs: copy.inputs, run };
    if (instruction.link) return this.#link(state, step, (rootfs) => copy.apply(rootfs));
    const record = await this.#cached(state, step, (key) =>
      this.#layer(state, key, [], (rootfs) => copy.apply(rootfs)),
    );
    return next(state, record, state.config);
  }

  /**
   * COPY --link: the layer is made on nothing, so that its key and its content do not depend on what it is put upon: another
   * base takes it as it is.
   */
  async #link(
    state: StageState,
    step: Step,
    apply: (rootfs: string) => Promise<{ readonly time: number | undefined }>,
  ): Promise<StageState> {
    const time = this.#context.epoch ?? CONTEXT_TIME;
    const record = await this.#cached(NOTHING, { ...step, kind: `${step.kind} --link` }, (key) =>
      this.#layer(NOTHING, key, [], async (rootfs) => {
        const copied = await apply(rootfs);
        return { time: copied.time ?? time };
      }),
    );
    const { parts, lease } = this.#context;
    const layer =
      record.layer && (await parts.placeLayer(record.layer, { parent: state.chain, lease, signal: this.#signal }));
    const key = stepKey(state.key, 'LINK', [{ name: 'layer', value: record.key }]);
    return next(state, { ...record, key, layer, createdAt: state.createdAt }, state.config);
  }

  /** A WORKDIR that has to be made is the USER's; root's when the image does not know the user yet. */
  async #directoryOwner({ config, chain }: StageState): Promise<{ readonly uid: number; readonly gid: number }> {
    if (!config.User) return { uid: 0, gid: 0 };
    try {
      return await this.#context.parts.lookUpOwner(() => this.#views.of(chain), config.User);
    } catch (error) {
      if (errorCode(error) === 'internal') throw error;
      return { uid: 0, gid: 0 };
    }
  }

  /** Where files come from: the context, a stage, or an image. */
  async #place(
    from: string | undefined,
    { run, line }: { readonly run: StageRun; readonly line: number },
  ): Promise<FilesPlace> {
    const { plan, main, named } = this.#context;
    if (from === undefined) return main;
    const context = namedContext(named, from);
    const found = context === undefined ? undefined : await this.#context.context(context);
    if (found?.kind === 'files') return found.place;
    if (found?.kind === 'result')
      return { root: await this.#views.of(found.image.chain), ignore: [], keepOwner: true, name: `context ${from}` };
    if (found) return this.#imagePlace(found.reference);
    const index = stageOf(plan.all, from, { before: run.planned.index, line });
    if (index !== undefined) {
      const { chain } = await this.#stages.get(index)!;
      const root = await this.#views.of(chain);
      return { root, ignore: [], keepOwner: true, name: `stage ${plan.all[index]?.name ?? index}` };
    }
    if (from === 'scratch') return { root: await this.#views.of(undefined), ignore: [], keepOwner: true, name: from };
    return this.#imagePlace(from);
  }

  async #imagePlace(from: string): Promise<FilesPlace> {
    const image = await this.#image(from, undefined);
    this.#usedImage(from, image, undefined);
    return { root: await this.#views.of(image.chain), ignore: [], keepOwner: true, name: `image ${from}` };
  }

  #temporary(): string {
    return join(this.#context.directory, `step-${++this.#names}`);
  }

  /** The record of a step: from the cache, from another build that makes it now, or made. */
  async #cached(
    state: StageState,
    { kind, text, inputs, run }: Step,
    make: (key: Digest) => Promise<BuildRecord['layer']>,
  ): Promise<BuildRecord> {
    const { request, lease, cache, imports, epoch } = this.#context;
    const { records, snapshotter } = this.#context.parts;
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
      signal: this.#signal,
      fresh,
      imports,
      step: { kind, text, inputs, slot, state, createdAt },
      onMiss: () => {
        if (request.explain === true)
          run.announce(explainStep({ records, snapshotter }, { key, slot, inputs, state, request }));
      },
      make: async () => ({
        key,
        parent: state.key,
        text,
        layer: await make(key),
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
    this.#solved.push({ vertex: run.vertex, record, origin });
    return record;
  }

  /** Makes a layer over the state's files: `work` gets them mounted read-write. */
  async #layer(
    state: StageState,
    key: Digest,
    scaffold: readonly ScaffoldEntry[],
    work: (rootfs: string) => Promise<{ readonly time: number | undefined } | void>,
  ): Promise<BuildRecord['layer']> {
    const { parts, lease } = this.#context;
    const name = `build-${key.slice(7, 31)}-${process.hrtime.bigint().toString(36)}`;
    const rootfs = this.#temporary();
    await mkdir(rootfs);
    await parts.snapshotter.prepare(name, state.chain, { scaffold });
    try {
      await parts.mountActive(name, rootfs);
      let time: number | undefined;
      try {
        time = (await work(rootfs))?.time;
      } finally {
        await parts.unmount(rootfs);
      }
      const seconds = time ?? this.#context.epoch ?? Math.max(0, Math.floor(Date.parse(state.createdAt) / 1000) || 0);
      await clampTimes(parts.snapshotter.changesDir(name), {
        seconds,
        exact: time !== undefined,
        signal: this.#signal,
      });
      return await parts.commitLayer(name, { parent: state.chain, lease, signal: this.#signal });
    } catch (error) {
      if (this.#context.request.keepFailed === true && error instanceof BuildStepFailed && error.step) {
        // What the command left is looked at, as an image of its own.
        const layer = await parts.commitLayer(name, { parent: state.chain, lease, signal: this.#signal });
        error.left = { diffIds: [...state.diffIds, layer.diffId], chain: layer.chain };
        throw error;
      }
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

/** A stage while it is built. */
interface StageRun {
  readonly planned: PlannedStage;
  readonly announce: (text: string) => void;
  /** For the classic stream alone: events say the same in their own way. */
  readonly note: (text: string) => void;
  /** Values of the ARGs so far. */
  readonly args: Map<string, string>;
  /** Of the instruction that is under way, triggers counted. */
  position: number;
  /** Whether it has had a CMD. */
  ownCmd: boolean;
  /** The step that is under way. */
  vertex: BuildVertex;
  /** How it got its result, when it has one of its own. */
  last: StepOrigin | undefined;
}

interface Step {
  readonly kind: string;
  readonly text: string;
  readonly inputs: readonly StepInput[];
  readonly run: StageRun;
}

const WHOLE = { exclude: [], parents: false, unpack: false } as const;

/** A stage on nothing is as old as nothing: its image depends on its files alone. */
const SCRATCH_TIME = '1970-01-01T00:00:00Z';

/** What of the request a command may see; what is as usual is no input. */
function surroundings(request: BuildRequest, network: RunInstruction['network']): StepInput[] {
  const { extraHosts = [], ulimits = [], securityOpt = [], shmSize, networkMode = 'default' } = request;
  const lists = { 'add-host': extraHosts, ulimit: ulimits, 'security-opt': securityOpt };
  return [
    ...Object.entries(lists).flatMap(([name, list]) =>
      list.length > 0 ? [{ name, value: JSON.stringify(list) }] : [],
    ),
    ...(shmSize ? [{ name: 'shm-size', value: String(shmSize) }] : []),
    ...(network === 'default' && !['default', 'bridge', ''].includes(networkMode)
      ? [{ name: 'network', value: networkMode }]
      : []),
  ];
}

/** Where a stage begins that has no base. */
const NOTHING: StageState = {
  config: { Env: [`PATH=${DEFAULT_PATH}`], WorkingDir: '/' },
  diffIds: [],
  chain: undefined,
  history: [],
  createdAt: SCRATCH_TIME,
  author: undefined,
  key: sha256('scratch'),
  imageId: undefined,
};

function stepsBefore(stages: readonly PlannedStage[], slot: number): number {
  return stages.slice(0, slot).reduce((sum, { stage }) => sum + 1 + stage.instructions.length, 0);
}

/** Steps and containers need one: where an image says none it is the usual one. */
function withPath(config: ImageRunConfig): ImageRunConfig {
  const env = config.Env ?? [];
  if (env.some((line) => line.startsWith('PATH='))) return config;
  return { ...config, Env: [`PATH=${DEFAULT_PATH}`, ...env] };
}

function stepKey(parent: Digest, kind: string, inputs: readonly StepInput[]): Digest {
  return sha256(JSON.stringify([parent, kind, inputs.map(({ name, value }) => [name, value])]));
}

/** Twelve digits that stand for the state, as Docker shows an image's after each step. */
function show(state: StageState): string {
  return (state.imageId ?? state.key).replace('sha256:', '').slice(0, 12);
}

/** A variable that the image's configuration sets itself. */
function ownVariable({ config }: StageState, name: string): string | undefined {
  return (config.Env ?? []).find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1);
}

function next(state: StageState, record: BuildRecord, config: ImageRunConfig): StageState {
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
    author: state.author,
    imageId: undefined,
  };
}

export interface FailedStep {
  /** Of the Dockerfile, from 1. */
  readonly lines: { readonly start: number; readonly end: number };
  readonly config: ImageRunConfig;
  readonly argv: readonly string[];
  /** Variables besides the configuration's own. */
  readonly env: readonly string[];
}

/** A RUN step ended with a code that is not 0: the build's result, not a fault of the engine. */
export class BuildStepFailed extends EngineError {
  readonly exitCode: number;

  /** As it was run: `/bin/sh -c npm ci`. */
  readonly command: string;
  /** Which one it was, and with what. */
  readonly step: FailedStep | undefined;
  /** The files as the command left them, where they were to be kept. */
  left: { readonly diffIds: readonly DiffId[]; readonly chain: ChainId } | undefined;
  /** The lines of the Dockerfile. */
  excerpt: string | undefined;

  constructor(command: string, exitCode: number, step?: FailedStep) {
    super('invalid-argument', `The command '${command}' returned a non-zero code: ${exitCode}`);
    this.exitCode = exitCode;
    this.command = command;
    this.step = step;
  }
}

/** The name with the digest that the lock has for it. Throws `invalid-argument` when it has none. */
function pinnedName(name: string, pins: Readonly<Record<string, string>>): string {
  const reference = withDefaultTag(parseReference(name));
  if (reference.digest !== undefined) return name;
  const shown = familiarName(reference);
  const digest = Object.hasOwn(pins, shown) ? pins[shown]! : undefined;
  if (digest === undefined) {
    throw new EngineError(
      'invalid-argument',
      `${shown} is not in the lock file: run \`gantry lock\` and look at what it adds`,
    );
  }
  return `${shown}@${digest}`;
}
