import { mkdir, rm, stat } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { EngineError } from '../../../base/errors.ts';
import { resolveInRoot } from '../../../linux/rooted.ts';
import type { UserMount } from '../../../runtime/spec/mounts.ts';
import type { ScaffoldEntry } from '../../../snapshot/scaffold.ts';
import type { BuildRecord, StepInput } from '../../../state/build-records.ts';
import { MOUNT_POINTS } from '../../containers/create.ts';
import { checkEmulation } from '../emulation.ts';
import { mountInputs, PreparedRunMounts, type RunMountParts } from '../run-step.ts';
import { BuildStepFailed } from '../stages/failed-step.ts';
import { runToExitCode } from '../step-executor.ts';
import { ActiveFiles } from './active-files.ts';
import type { ExecFilesystem, ExecOperation } from './graph.ts';
import { cached, placeOf, stackOf, type VertexContext } from './graph-context.ts';
import { EMPTY, type GraphValue, type LayerStack, withPath } from './layer-stack.ts';

/** A filesystem of the command with what it begins as. */
interface Writable {
  readonly filesystem: ExecFilesystem;
  readonly stack: LayerStack;
}

/** Runs a command, unless what it gives is known; its results by their numbers. Throws `BuildStepFailed`. */
export async function runCommand(
  context: VertexContext,
  operation: ExecOperation,
  inputs: readonly GraphValue[],
): Promise<(GraphValue | undefined)[]> {
  const { parts, session, signal, vertex } = context;
  checkEmulation(vertex.platform);
  const mountParts: RunMountParts = {
    place: (from) => placeOf(context, inputs[Number(from)]!),
    view: (chain, ids) => context.views.of(chain, ids),
    temporary: () => context.temporary(),
    caches: parts.caches,
    session,
    signal,
    clientSignal: undefined,
  };
  const writables = await Promise.all(
    operation.filesystems.map(async (filesystem): Promise<Writable> => ({
      filesystem,
      stack: filesystem.input < 0 ? EMPTY : await stackOf(context, inputs[filesystem.input]!),
    })),
  );
  const root = writables[0]!;
  const text = operation.args.join(' ');
  const common: StepInput[] = [
    ...surroundings(operation),
    ...writables.slice(1).map(({ filesystem, stack }) => ({
      name: `mount ${filesystem.target}`,
      value: JSON.stringify([filesystem.selector, stack.key]),
    })),
    ...(await mountInputs(mountParts, operation.mounts)),
  ];
  let made: Promise<Map<ExecFilesystem, BuildRecord['layer']>> | undefined;
  const results: (GraphValue | undefined)[] = [];
  for (const { filesystem, stack } of writables) {
    if (filesystem.output === undefined) continue;
    const inputsOf = [...common, { name: 'root', value: root.stack.key }, { name: 'result', value: filesystem.target }];
    results[filesystem.output] = await cached(context, stack, { kind: 'EXEC', text, inputs: inputsOf }, async () => {
      // One run gives all results; a second one only where the first is known and this is not.
      made ??= context.commands.run(() => run(context, operation, writables, mountParts));
      return (await made).get(filesystem);
    });
  }
  // A command may be there for what it says alone.
  if (results.length === 0) await context.commands.run(() => run(context, operation, writables, mountParts));
  return results;
}

function surroundings(operation: ExecOperation): StepInput[] {
  const { args, env, workingDir, user, hostname, network, request, validExitCodes, filesystems } = operation;
  const { extraHosts = [], ulimits = [], limits } = request;
  return [
    { name: 'command', value: JSON.stringify(args) },
    { name: 'environment', value: JSON.stringify(env) },
    { name: 'place', value: JSON.stringify([workingDir, user]) },
    ...(hostname === undefined ? [] : [{ name: 'hostname', value: hostname }]),
    ...(network === 'default' ? [] : [{ name: 'network', value: network }]),
    ...(extraHosts.length > 0 ? [{ name: 'add-host', value: JSON.stringify(extraHosts) }] : []),
    ...(ulimits.length > 0 ? [{ name: 'ulimit', value: JSON.stringify(ulimits) }] : []),
    ...(limits === undefined ? [] : [{ name: 'limits', value: JSON.stringify(limits) }]),
    ...(validExitCodes.length > 0 ? [{ name: 'codes', value: JSON.stringify(validExitCodes) }] : []),
    ...(filesystems[0]!.readOnly ? [{ name: 'root', value: 'read-only' }] : []),
  ];
}

async function run(
  context: VertexContext,
  operation: ExecOperation,
  writables: readonly Writable[],
  mountParts: RunMountParts,
): Promise<Map<ExecFilesystem, BuildRecord['layer']>> {
  const { signal } = context;
  await using active = new AsyncDisposableStack();
  const ids = context.parts.idsOfCommand({ NetworkMode: operation.network });
  await using prepared = new PreparedRunMounts(mountParts, ids);
  for (const [index, one] of operation.mounts.entries()) await prepared.add(one, index);
  const open: { readonly filesystem: ExecFilesystem; readonly files: ActiveFiles }[] = [];
  const mounts: UserMount[] = [...prepared.mounts];
  const points: ScaffoldEntry[] = [...prepared.points];
  const [root, ...others] = writables;
  for (const { filesystem, stack } of others) {
    const files = active.use(await ActiveFiles.open(context, stack, stack.key, { ids }));
    open.push({ filesystem, files });
    const source = await selected(files.root, filesystem.selector);
    const isDirectory = (await stat(source)).isDirectory();
    mounts.push({
      type: 'bind',
      destination: filesystem.target,
      source,
      readOnly: false,
      recursive: false,
      readOnlyRecursion: 'off',
      propagation: '',
    });
    points.push({ path: filesystem.target, kind: isDirectory ? 'directory' : 'file' });
  }
  const files = active.use(
    await ActiveFiles.open(context, root!.stack, root!.stack.key, { scaffold: [...MOUNT_POINTS, ...points], ids }),
  );
  open.push({ filesystem: root!.filesystem, files });
  const directory = context.temporary();
  await mkdir(directory);
  const { args, env, workingDir, user, hostname, network, proxies, request, validExitCodes } = operation;
  const code = await runToExitCode(context.parts.executor, {
    rootfs: await selected(files.root, root!.filesystem.selector),
    readOnly: root!.filesystem.readOnly,
    hostname,
    config: { User: user, WorkingDir: workingDir, Env: [] },
    args,
    // What the client says of a variable counts more than what comes with a mount.
    env: [...proxies, ...prepared.env, ...withPath(env)],
    // What is mounted on a place comes after the place.
    mounts: mounts.toSorted((a, b) => depth(a.destination) - depth(b.destination)),
    networkMode: network,
    privileged: false,
    ids,
    limits: request.limits,
    request,
    directory,
    onOutput: context.output,
    signal,
  });
  await rm(directory, { recursive: true, force: true });
  const valid = validExitCodes.length > 0 ? validExitCodes : [0];
  if (!valid.includes(code)) throw new BuildStepFailed(args.join(' '), code);
  const layers = new Map<ExecFilesystem, BuildRecord['layer']>();
  for (const { filesystem, files: changed } of open)
    if (filesystem.output !== undefined) layers.set(filesystem, await changed.commit());
  return layers;
}

async function selected(root: string, selector: string): Promise<string> {
  const path = posix.resolve('/', selector);
  if (path === '/') return root;
  const place = join(root, resolveInRoot(root, path));
  await stat(place).catch((error: unknown) => {
    throw new EngineError('not-found', `${path}: no such file or directory`, { cause: error });
  });
  return place;
}

function depth(path: string): number {
  return path.split('/').filter((part) => part !== '').length;
}
