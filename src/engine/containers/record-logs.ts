import type { LogPosition as RecordPosition } from '../../runtime/logs/log-files.ts';
import { logEnd } from '../../runtime/logs/log-files.ts';
import { readLog } from '../../runtime/logs/reader.ts';
import type { OutputChunk, TaskLog } from '../../runtime/task.ts';
import type { ContainerLogs, LogPosition, LogReadOptions } from './parts.ts';

/** Readers of the record that the monitors write. */
export const recordLogs: ContainerLogs = {
  end: ({ path }: TaskLog): LogPosition => logEnd(path),
  read: ({ path }: TaskLog, { from, follow, ...options }: LogReadOptions): AsyncIterable<OutputChunk> =>
    readLog({
      ...options,
      path,
      from: from as RecordPosition | undefined,
      follow: follow !== undefined,
      ended: follow,
    }),
};
