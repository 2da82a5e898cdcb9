import { hostname } from 'node:os';
import { EngineError } from '../../base/errors.ts';
import { logAttributes, logTag } from '../../logging/attributes.ts';
import { LOG_DRIVERS } from '../../logging/drivers.ts';
import type { DriverOptions, LogSource } from '../../logging/log-sink.ts';
import type { OutputChunk } from '../../runtime/task.ts';
import { logIsReadable } from '../../runtime/spec/validate-log.ts';
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
  if (!logIsReadable(LogConfig)) {
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
    details: options.details ? logDetails(record) : undefined,
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

/** What the log options choose of a container, as `--details` shows it: `E=1,a=b,tag=web`. Of drivers that keep the record here. */
function logDetails(record: ContainerRecord): string {
  const { LogConfig } = record.hostConfig;
  if (LOG_DRIVERS.has(LogConfig?.Type ?? '')) return '';
  const options = new Map(Object.entries(LogConfig?.Config ?? {}));
  const source = logSource(record);
  const tag: [string, string][] = (options.get('tag') ?? '') === '' ? [] : [['tag', tagOr(options, source)]];
  return [...logAttributes(options, source), ...tag]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map((pair) => pair.map(encodeURIComponent).join('='))
    .join(',');
}

/** A template that names what is not there stops no reading of what was printed. */
function tagOr(options: DriverOptions, source: LogSource): string {
  try {
    return logTag(options, source);
  } catch {
    return options.get('tag')!;
  }
}

/** Whose output it is, for templates of tags and for log servers. */
export function logSource(record: ContainerRecord): LogSource {
  const { config } = record;
  return {
    id: record.id,
    name: record.name,
    imageId: record.imageId,
    imageName: config.Image ?? '',
    command: [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])],
    createdAt: record.createdAt,
    labels: config.Labels ?? {},
    env: config.Env ?? [],
    hostname: hostname(),
  };
}
