import { mkdir, rm } from 'node:fs/promises';
import { EngineError, errorMessage } from '../../../base/errors.ts';
import { expandWord, type Lookup } from '../../../build/dockerfile/expand.ts';
import type { EnvCommandInstruction, RunInstruction } from '../../../build/dockerfile/instructions.ts';
import type { PlannedStage } from '../../../build/plan.ts';
import { proxyVariables } from '../../../build/proxy-args.ts';
import { parseRunMount } from '../../../build/run-mount.ts';
import { commandArgv, DEFAULT_SHELL } from '../../../build/stage-config.ts';
import type { BuildRecord, StepInput } from '../../../state/build-records.ts';
import { MOUNT_POINTS } from '../../containers/create.ts';
import type { BuildRequest } from '../../engine.ts';
import { findDevices } from '../cdi-devices.ts';
import { checkEmulation } from '../emulation.ts';
import { mountInputs, PreparedRunMounts, type RunMountParts, withHeredocs } from '../run-step.ts';
import type { StepShell } from '../build-session.ts';
import { runToExitCode, type StepCommand } from '../step-executor.ts';
import { CommandValue } from '../command-value.ts';
import { BuildStepFailed } from './failed-step.ts';
import { FileInstructions } from './file-instructions.ts';
import type { StageRun } from './stage-context.ts';
import { nextState, type StageState, stepKey } from './stage-state.ts';

interface RunContext {
  readonly run: StageRun;
  readonly lookup: Lookup;
}

/** RUN: a command over the files of a stage. */
export class RunInstructions extends FileInstructions {
  async apply(state: StageState, instruction: RunInstruction, context: RunContext): Promise<StageState> {
    return nextState(state, await this.#record(state, instruction, context), state.config);
  }

  /** ENV --from-cmd: what the command prints becomes a variable; what it does to files is forgotten. */
  async variable(
    state: StageState,
    { name, command, range, original }: EnvCommandInstruction,
    context: RunContext,
  ): Promise<StageState> {
    const asRun: RunInstruction = {
      kind: 'RUN',
      range,
      original,
      command,
      heredocs: [],
      mounts: [],
      network: 'default',
      security: 'sandbox',
      devices: [],
    };
    const record = await this.#record(state, asRun, context, name);
    const value = record.output!;
    const text = `ENV ${name}=${value} # --from-cmd ${commandArgv(command, state.config).join(' ')}`;
    return {
      ...nextState(state, { ...record, text }, state.config.withVariables([{ key: name, value }])),
      // The same command may print something else, and what stands on it has to know.
      key: stepKey(record.key, 'value', [{ name, value }]),
      args: state.args.without(name),
    };
  }

  /** @param variable where the result is what the command prints: whose value that is */
  async #record(
    state: StageState,
    instruction: RunInstruction,
    { run, lookup }: RunContext,
    variable?: string,
  ): Promise<BuildRecord> {
    const line = `dockerfile line ${instruction.range.start}`;
    const { allow = [] } = this.solve.context.request;
    if (instruction.security === 'insecure' && !allow.includes('security.insecure'))
      throw new EngineError(
        'forbidden',
        `${line}: RUN --security=insecure is not allowed: build with --allow security.insecure`,
      );
    const { request, buildArgs, parts, escape } = this.solve.context;
    if (instruction.network === 'host' && request.networkMode !== 'host' && !allow.includes('network.host'))
      throw new EngineError('forbidden', `${line}: RUN --network=host is not allowed: build with --allow network.host`);
    checkEmulation(this.#platformOf(run.planned));
    const { command, script } = withHeredocs(instruction);
    const argv = commandArgv(command, state.config);
    const args = [...state.args];
    const env = args.map(([name, value]) => `${name}=${value}`);
    const proxies = proxyVariables(buildArgs);
    const hostname = buildArgs.get('BUILDKIT_SANDBOX_HOSTNAME');
    const namespace = buildArgs.get('BUILDKIT_CACHE_MOUNT_NS');
    const mountParts: RunMountParts = {
      place: (from) => this.places.find(from, { run, line: instruction.range.start }),
      view: (chain, ids) => this.solve.views.of(chain, ids),
      temporary: () => this.solve.temporary(),
      caches: parts.caches,
      session: this.solve.context.options.session,
      signal: this.solve.signal,
      clientSignal: this.solve.context.clientSignal,
    };
    const mounts = instruction.mounts.map((text) => {
      const one = parseRunMount(expandWord(text, lookup, { escape }), state.config.workingDir ?? '/');
      return one.type === 'cache' && namespace ? { ...one, id: `${namespace}/${one.id}` } : one;
    });
    const devices = await findDevices(parts.deviceDirectories, instruction.devices, allow);
    const inputs: StepInput[] = [
      { name: 'command', value: JSON.stringify(argv) },
      ...(script ? [{ name: 'script', value: script.content }] : []),
      ...args.map(([name, value]) => ({ name: `ARG ${name}`, value })),
      ...(await mountInputs(mountParts, mounts)),
      ...(instruction.network === 'default' ? [] : [{ name: 'network', value: instruction.network }]),
      ...(instruction.devices.length > 0 ? [{ name: 'devices', value: JSON.stringify(devices.names) }] : []),
      ...(hostname ? [{ name: 'hostname', value: hostname }] : []),
      ...surroundings(request, instruction.network),
      ...(instruction.security === 'sandbox' ? [] : [{ name: 'security', value: instruction.security }]),
    ];
    const printed = variable === undefined ? undefined : new CommandValue(variable);
    const kind = variable === undefined ? 'RUN' : `ENV --from-cmd ${variable}`;
    const text = `${kind} ${env.length > 0 ? `|${env.length} ${env.join(' ')} ` : ''}${argv.join(' ')}`;
    const wanted = { kind, text, inputs, run, ...(printed && { output: () => printed.value }) };
    return this.results.of(state, wanted, async (key) => {
      const networkMode = instruction.network === 'default' ? (request.networkMode ?? 'default') : instruction.network;
      const privileged = instruction.security === 'insecure';
      const ids = parts.idsOfCommand({ NetworkMode: networkMode, Privileged: privileged });
      await using prepared = new PreparedRunMounts(mountParts, ids);
      for (const [index, one] of mounts.entries()) await prepared.add(one, index);
      if (script) await prepared.addScript(script.path, script.content);
      const scaffold = [...MOUNT_POINTS, ...prepared.points, ...devices.points];
      const work = async (rootfs: string): Promise<void> => {
        const step = {
          rootfs,
          config: state.config.whole,
          args: argv,
          env: [...env, ...proxies, ...prepared.env, ...devices.env],
          mounts: [...prepared.mounts, ...devices.mounts],
          devices,
          networkMode,
          privileged,
          ids,
          limits: request.limits,
          request,
          hostname: hostname || undefined,
          onOutput: (text: string, stream: 1 | 2) => {
            run.announce(text);
            if (stream === 1) printed?.add(text);
          },
          signal: printed ? AbortSignal.any([this.solve.signal, printed.signal]) : this.solve.signal,
        };
        const code = await this.#withDirectory((directory) => runToExitCode(parts.executor, { ...step, directory }));
        if (code === 0) return;
        const failure = new BuildStepFailed(argv.join(' '), code, instruction.range);
        if (request.enterFailed === true) await this.#letIn(failure, step, { run, shell: state.config.shell?.[0] });
        throw failure;
      };
      if (!printed) return await this.results.layer(state, key, { scaffold, ids }, work);
      await this.results.apart(state, key, { scaffold, ids }, work);
      return undefined;
    });
  }

  /** Lets the client's user into what the command left, with all that it had, until they leave. */
  async #letIn(
    failure: BuildStepFailed,
    step: Omit<StepCommand, 'directory'>,
    { run, shell = DEFAULT_SHELL[0]! }: { readonly run: StageRun; readonly shell: string | undefined },
  ): Promise<void> {
    const { options, clientSignal, parts } = this.solve.context;
    const { session } = options;
    if (!session?.shell) return;
    run.fail(failure);
    try {
      await this.#withDirectory(async (directory) => {
        let entered: StepShell | undefined;
        await session.shell!({
          message: failure.message,
          enter: async (size) => {
            const command = { ...step, args: [shell], directory, signal: clientSignal };
            return (entered = await parts.executor.enter(command, size));
          },
        });
        await entered?.ended;
      });
    } catch (error) {
      run.announce(`The step cannot be entered: ${errorMessage(error)}\n`);
    }
  }

  /** For the files of one run of a command. */
  async #withDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
    const directory = this.solve.temporary();
    await mkdir(directory);
    try {
      return await work(directory);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  /** What the programs of a stage are for; undefined is this machine. */
  #platformOf({ platform, base }: PlannedStage): string | undefined {
    const below =
      base.kind === 'stage' ? this.solve.context.plan.stages.find(({ index }) => index === base.index) : undefined;
    return platform ?? (below ? this.#platformOf(below) : this.solve.context.request.platform);
  }
}

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
