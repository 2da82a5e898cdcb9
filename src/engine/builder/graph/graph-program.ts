import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readOnlyBind } from '../../../runtime/spec/mounts.ts';
import { MOUNT_POINTS } from '../../containers/create.ts';
import { checkEmulation } from '../emulation.ts';
import type { SpokenCommand } from '../step-executor.ts';
import { ActiveFiles } from './active-files.ts';
import type { GraphContext } from './graph-context.ts';
import { type LayerStack, withPath } from './layer-stack.ts';

/** A program that a build speaks with: it has the files that a graph gave, and what it writes to them is dropped. */
export interface GraphProgram {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly network: 'default' | 'none';
  /** `linux/arm64`; undefined is this machine's. */
  readonly platform: string | undefined;
  /** A directory of its own, read-only: small files by their names. */
  readonly directory: { readonly path: string; readonly files: Readonly<Record<string, Uint8Array>> };
  readonly signal: AbortSignal;
}

/** Runs it, confined as a command of the build is, for as long as `use` takes. Throws what a container's start throws, and what `use` throws. */
export async function runProgram<T>(
  context: GraphContext,
  stack: LayerStack,
  program: GraphProgram,
  use: (spoken: SpokenCommand) => Promise<T>,
): Promise<T> {
  const { args, env, workingDir, network, platform, directory, signal } = program;
  checkEmulation(platform);
  const ids = context.parts.idsOfCommand({ NetworkMode: network });
  const scaffold = [...MOUNT_POINTS, { path: directory.path, kind: 'directory' as const }];
  await using files = await ActiveFiles.open(context, stack, stack.key, { scaffold, ids });
  await using held = new AsyncDisposableStack();
  const own = await temporaryDirectory(context, held);
  const given = await temporaryDirectory(context, held);
  // Whoever it runs as reads them, also in a user namespace.
  await chmod(given, 0o755);
  for (const [name, data] of Object.entries(directory.files)) await writeFile(join(given, name), data, { mode: 0o444 });
  return await context.parts.executor.speak(
    {
      rootfs: files.root,
      config: { WorkingDir: workingDir, Env: [] },
      args,
      env: withPath(env),
      mounts: [readOnlyBind(directory.path, given)],
      networkMode: network,
      privileged: false,
      ids,
      limits: undefined,
      request: {},
      directory: own,
      onOutput: () => {},
      signal,
    },
    use,
  );
}

async function temporaryDirectory(context: GraphContext, held: AsyncDisposableStack): Promise<string> {
  const directory = context.temporary();
  await mkdir(directory);
  held.defer(() => rm(directory, { recursive: true, force: true }));
  return directory;
}
