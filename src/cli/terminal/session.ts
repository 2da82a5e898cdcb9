import { demultiplex } from '../../client/multiplex.ts';
import type { HijackedStream } from '../../client/requester.ts';
import type { Cli } from '../cli.ts';
import { DetachWatcher, parseDetachKeys } from './detach-keys.ts';

export interface SessionOptions {
  /** One raw stream without frames. */
  readonly tty: boolean;
  readonly stdin: boolean;
  /** `ctrl-p,ctrl-q` when empty. */
  readonly detachKeys: string;
}

/**
 * Joins our terminal to a hijacked stream until the other side ends it. The terminal is raw meanwhile, and as before
 * afterwards. Gives `detached` when the detach keys were typed.
 */
export async function runSession(
  cli: Cli,
  stream: HijackedStream,
  options: SessionOptions,
): Promise<'ended' | 'detached'> {
  const { io } = cli;
  const raw = options.tty && options.stdin && io.stdinIsTTY;
  let detached = false;
  let stopInput = (): void => {};
  const restore = (): void => io.setRawMode(false);
  if (raw) {
    io.setRawMode(true);
    process.once('exit', restore);
  }
  try {
    if (options.stdin) {
      const keys = options.detachKeys || cli.config.document.detachKeys || 'ctrl-p,ctrl-q';
      stopInput = pumpInput(cli, stream, raw ? new DetachWatcher(parseDetachKeys(keys)) : undefined, () => {
        detached = true;
        stream.close();
      });
    }
    try {
      if (options.tty) {
        for await (const data of stream.output) io.stdout.write(data);
      } else {
        for await (const part of demultiplex(stream.output)) {
          (part.stream === 'stderr' ? io.stderr : io.stdout).write(part.data);
        }
      }
    } catch (error) {
      if (!detached) throw error;
    }
    return detached ? 'detached' : 'ended';
  } finally {
    stopInput();
    if (raw) {
      restore();
      process.off('exit', restore);
    }
    stream.close();
  }
}

/** Sends what is typed or piped, at the stream's pace, and its end. */
function pumpInput(
  cli: Cli,
  stream: HijackedStream,
  watcher: DetachWatcher | undefined,
  onDetach: () => void,
): () => void {
  const stdin = cli.io.stdin();
  const { socket } = stream;
  const onData = (chunk: Buffer): void => {
    const passed = watcher ? watcher.pass(chunk) : { data: chunk, detached: false };
    if (passed.data.length > 0 && !socket.destroyed && !socket.write(passed.data)) {
      stdin.pause();
      socket.once('drain', () => stdin.resume());
    }
    if (passed.detached) onDetach();
  };
  const onEnd = (): void => stream.endInput();
  stdin.on('data', onData);
  stdin.once('end', onEnd);
  // A closed terminal: the container sees the end of its input.
  stdin.once('error', onEnd);
  return () => {
    stdin.off('data', onData);
    stdin.off('end', onEnd);
    stdin.off('error', onEnd);
    stdin.pause();
  };
}
