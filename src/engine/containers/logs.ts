import { EngineError } from '../../base/errors.ts';
import type { OutputChunk } from '../../runtime/task.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import type { LogOptions } from '../engine.ts';
import { type ContainerContext, findContainer } from './context.ts';
import type { LogReadOptions } from './parts.ts';
import { taskLog } from './set-up.ts';
import { hasProcess } from './state.ts';

/** What the container has printed. Following ends with its run. Throws `invalid-argument`, `unimplemented` (driver `none`). */
export async function containerLogs(
  context: ContainerContext,
  nameOrId: string,
  options: LogOptions,
): Promise<{ tty: boolean; output: AsyncIterable<OutputChunk> }> {
  const record = findContainer(context, nameOrId);
  if (!options.stdout && !options.stderr) {
    throw new EngineError('invalid-argument', 'Bad parameters: you must choose at least one stream');
  }
  const { LogConfig } = record.hostConfig;
  if (LogConfig?.Type === 'none') {
    throw new EngineError('unimplemented', 'configured logging driver does not support reading');
  }
  const running = hasProcess(record.state);
  const live = context.live.of(record.id);
  const output = readOutput(context, record, {
    stdout: options.stdout,
    stderr: options.stderr,
    since: options.since,
    until: options.until,
    tail: options.tail,
    timestamps: options.timestamps,
    details: options.details ? logDetails(LogConfig?.Config, record.config) : undefined,
    follow: options.follow && running ? live.task?.exited : undefined,
    signal: options.signal,
  });
  return { tty: record.config.Tty === true, output };
}

/** Reads the container's record of output; its files are kept until the reader is done, also when the container goes. */
export function readOutput(
  context: ContainerContext,
  record: ContainerRecord,
  options: LogReadOptions,
): AsyncIterable<OutputChunk> {
  const done = context.live.of(record.id).readers.enter();
  options.signal?.addEventListener('abort', done, { once: true });
  if (options.signal?.aborted) done();
  const source = context.logs.read(taskLog(context, record), options);
  return (async function* () {
    try {
      yield* source;
    } finally {
      done();
    }
  })();
}

/** The labels and variables that the log options `labels` and `env` name, as `--details` shows them. */
export function logDetails(
  logOptions: Readonly<Record<string, string>> | null | undefined,
  config: { readonly Labels?: Record<string, string>; readonly Env?: string[] },
): string {
  const chosen: string[] = [];
  const names = (key: string): string[] => (logOptions?.[key] ?? '').split(',').filter((name) => name !== '');
  for (const name of names('labels')) {
    if (config.Labels && Object.hasOwn(config.Labels, name)) chosen.push(`${name}=${config.Labels[name]}`);
  }
  for (const name of names('env')) {
    const variable = config.Env?.find((candidate) => candidate.startsWith(`${name}=`));
    if (variable !== undefined) chosen.push(variable);
  }
  return chosen
    .toSorted()
    .map((pair) => {
      const cut = pair.indexOf('=');
      return `${encodeURIComponent(pair.slice(0, cut))}=${encodeURIComponent(pair.slice(cut + 1))}`;
    })
    .join(',');
}
