import type { ProgressMessage } from '../api/progress.ts';
import { errorMessage } from '../base/errors.ts';
import type { OperationOptions, Progress } from '../base/operation.ts';
import type { Exchange } from './exchange.ts';

/** While so much waits for a slow client, it is spared the lines that only count bytes. */
const SLOW_CLIENT_BYTES = 1 << 20;
/** A client that takes nothing of so much is let go, rather than remembered. */
const STALLED_CLIENT_BYTES = 32 << 20;

/**
 * Answers a long operation with Docker's JSON lines. Until the first line an error is still an honest status;
 * afterwards it is a last line `{"errorDetail":…}`.
 */
export async function answerWithProgress(
  exchange: Exchange,
  work: (options: OperationOptions, send: (message: ProgressMessage) => void) => Promise<void>,
): Promise<void> {
  let waiting = 0;
  const send = (message: ProgressMessage): void => {
    if (!exchange.answered) exchange.begin('application/json');
    waiting = exchange.push(`${JSON.stringify(message)}\r\n`);
    if (waiting > STALLED_CLIENT_BYTES) exchange.abort();
  };
  const onProgress = (event: Progress): void => {
    const counting = event.current !== undefined && event.aux === undefined && event.stream === undefined;
    if (counting && waiting > SLOW_CLIENT_BYTES) return;
    for (const message of progressMessages(event)) send(message);
  };
  try {
    await work({ signal: exchange.signal, onProgress }, send);
  } catch (error) {
    // Of some the engine says that they belong into the answer, though nothing was told before.
    if (!exchange.answered && (error as { inAnswer?: unknown } | null)?.inAnswer !== true) throw error;
    send(errorLine(error));
  }
  if (!exchange.answered) exchange.begin('application/json');
  exchange.end();
}

/** The last line of an answer that had begun. A client exits with the code, where a command's own is told. */
function errorLine(error: unknown): ProgressMessage {
  const message = errorMessage(error);
  const code = (error as { exitCode?: unknown } | null)?.exitCode;
  const excerpt = (error as { excerpt?: unknown } | null)?.excerpt;
  return {
    errorDetail: {
      ...(typeof code === 'number' ? { code } : {}),
      message,
      ...(typeof excerpt === 'string' ? { excerpt } : {}),
    },
    error: message,
  };
}

/** What Docker writes for one step. A step with text and a result is two lines. */
export function progressMessages(event: Progress): ProgressMessage[] {
  const messages: ProgressMessage[] = [];
  if (event.stream !== undefined) messages.push({ stream: event.stream });
  else if (event.status !== '') messages.push(statusMessage(event));
  if (event.aux !== undefined) messages.push({ aux: event.aux });
  return messages;
}

function statusMessage({ id, status, current, total, unit }: Progress): ProgressMessage {
  const named = id === '' ? {} : { id };
  if (current === undefined && total === undefined) {
    return id === '' ? { status } : { status, progressDetail: {}, ...named };
  }
  return {
    status,
    progressDetail: {
      ...(current === undefined ? {} : { current }),
      ...(total === undefined ? {} : { total }),
      ...(unit === 'items' ? { units: 'items' } : {}),
    },
    progress: drawBar(current ?? 0, total ?? 0, unit ?? 'bytes'),
    ...named,
  };
}

/** `[=====>       ]  12.3MB/45.6MB`, for clients that draw nothing themselves. */
function drawBar(current: number, total: number, unit: 'bytes' | 'items'): string {
  const show = unit === 'items' ? String : humanSize;
  if (total <= 0 || current > total) return show(current).padStart(8);
  const filled = Math.floor((current / total) * 50);
  return `[${'='.repeat(filled)}>${' '.repeat(50 - filled)}]  ${show(current).padStart(8)}/${show(total)}`;
}

/** Four significant digits and a decimal unit, as Docker shows sizes. */
function humanSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let at = 0;
  let size = bytes;
  for (; size >= 1000 && at < units.length - 1; at++) size /= 1000;
  return `${Number(size.toPrecision(4))}${units[at]}`;
}
