import { createReadStream } from 'node:fs';
import { access, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { EngineError } from '../base/errors.ts';
import type { Bytes } from '../content/content-store.ts';
import { applyLayer } from '../snapshot/apply-layer.ts';
import { tarTree } from '../snapshot/diff-layer.ts';
import type { BuildEvent } from './builder/build-event.ts';
import type { ClientOutput } from './builder/outputs/deliver.ts';
import type { BuildRequest, BuildResult, EngineServices } from './engine.ts';

/** An image to be built by a program. */
export interface BuildImageRequest extends Omit<BuildRequest, 'outputs' | 'quiet'> {
  /** A directory of this machine, or a tar. None with `dockerfileText` alone, or with `remote`. */
  readonly context?: string | Bytes;
  /** What RUN --mount=type=secret may ask for, by id. */
  readonly secrets?: Readonly<Record<string, string | Uint8Array>>;
  /** As `docker build --output`; `dest` is a directory for `local`, otherwise a file. None is the image store. */
  readonly outputs?: readonly {
    readonly type: 'image' | 'registry' | 'docker' | 'oci' | 'tar' | 'local' | 'cacheonly';
    readonly dest?: string;
    readonly attributes?: Readonly<Record<string, string>>;
  }[];
  /** Every step as it begins, speaks and ends. */
  readonly onEvent?: (event: BuildEvent) => void;
  /** What the build prints, as `gantry build` shows it. */
  readonly onLog?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Builds an image of a directory (or a tar). Throws what a build throws: `invalid-argument` for what is wrong in the
 * Dockerfile and for a command that fails, with `exitCode` then; `cancelled`.
 */
export async function buildImage(
  { builder }: Pick<EngineServices, 'builder'>,
  request: BuildImageRequest,
): Promise<BuildResult> {
  const { context, secrets = {}, outputs = [], onEvent, onLog, signal, ...rest } = request;
  const tar = typeof context === 'string' ? await directoryTar(context, signal) : context;
  const from = (request.cacheFrom ?? []).map((text) => directoryOf(text, 'src'));
  const to = (request.cacheTo ?? []).map((text) => directoryOf(text, 'dest'));
  return builder.build(
    tar,
    {
      ...rest,
      outputs: outputs.map(({ type, dest, attributes }) => ({
        type,
        attributes: { ...attributes, ...(type === 'docker' && dest !== undefined && { dest: 'client' }) },
      })),
    },
    {
      ...(signal && { signal }),
      ...(onEvent && { onEvent }),
      ...(onLog && { onProgress: ({ stream }) => stream !== undefined && onLog(stream) }),
      session: {
        secret: async (id) => {
          const value = Object.hasOwn(secrets, id) ? secrets[id] : undefined;
          return typeof value === 'string' ? Buffer.from(value) : value;
        },
        sshAgent: async () => undefined,
      },
      onInput: async (index, path) => {
        const file = join(from[index] ?? '/dev/null', path);
        return access(file).then(
          () => createReadStream(file),
          () => undefined,
        );
      },
      onOutput: (output) => receive(output, { outputs, caches: to, signal }),
    },
  );
}

async function directoryTar(directory: string, signal: AbortSignal | undefined): Promise<Bytes> {
  const root = resolve(directory);
  const found = await stat(root).catch(() => undefined);
  if (!found?.isDirectory())
    throw new EngineError('invalid-argument', `the build context ${root} is ${found ? 'no directory' : 'not there'}`);
  return tarTree(root, { signal });
}

async function receive(
  { kind, index, open: read }: ClientOutput,
  {
    outputs,
    caches,
    signal,
  }: {
    readonly outputs: NonNullable<BuildImageRequest['outputs']>;
    readonly caches: readonly (string | undefined)[];
    readonly signal: AbortSignal | undefined;
  },
): Promise<void> {
  const output = outputs[index];
  const dest = kind === 'cache' ? caches[index] : output?.dest;
  if (dest === undefined)
    throw new EngineError(
      'invalid-argument',
      `the output ${output?.type ?? kind} needs a dest: where it is written to`,
    );
  if (kind === 'cache' || output?.type === 'local') {
    await mkdir(dest, { recursive: true });
    await applyLayer(read(), dest, { whiteouts: 'literal', signal });
    return;
  }
  const aside = join(dirname(dest), `.${basename(dest)}.${process.pid}.tmp`);
  try {
    await using file = await open(aside, 'wx', 0o600);
    for await (const chunk of read()) await file.write(chunk);
    await rename(aside, dest);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}

/** The directory of a cache of type local. */
function directoryOf(text: string, key: 'src' | 'dest'): string | undefined {
  if (!/(?:^|,)type=local(?:,|$)/.test(text)) return undefined;
  return new RegExp(`(?:^|,)${key}=([^,]+)`).exec(text)?.[1];
}
