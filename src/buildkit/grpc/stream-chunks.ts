import type { Readable } from 'node:stream';

/** What may wait here before the stream is stopped. */
const AHEAD = 1 << 20;

/**
 * The bytes of a stream, as many together as are there. Each message of gRPC is a frame of HTTP/2 of its own, and each
 * frame an event: ten thousand small ones that come in a few reads of the socket wake the reader a few times.
 * A reader that leaves early leaves the stream open, and what still comes is dropped. Throws the stream's error, also
 * when it is closed before its end.
 */
export async function* streamChunks(stream: Readable): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = [];
  let size = 0;
  let over = stream.readableEnded || stream.destroyed;
  let failure = stream.errored;
  let due = false;
  let wake: (() => void) | undefined;
  const tell = (): void => {
    due = false;
    wake?.();
  };
  const onData = (piece: Buffer): void => {
    pieces.push(piece);
    size += piece.length;
    if (size >= AHEAD) stream.pause();
    if (due) return;
    due = true;
    setImmediate(tell);
  };
  const onEnd = (): void => {
    over = true;
    wake?.();
  };
  const onError = (error: Error): void => {
    failure = error;
    onEnd();
  };
  const onClose = (): void => {
    if (!over) failure ??= new Error('the stream was closed before its end');
    onEnd();
  };
  if (over && !stream.readableEnded) failure ??= new Error('the stream is closed');
  stream.on('end', onEnd).on('error', onError).on('close', onClose).on('data', onData);
  try {
    for (;;) {
      if (size > 0 && !due) {
        const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, size);
        pieces = [];
        size = 0;
        if (stream.isPaused()) stream.resume();
        yield bytes;
        continue;
      }
      if (over && size === 0) break;
      await new Promise<void>((resolve) => (wake = resolve));
      wake = undefined;
      if (over) due = false;
    }
  } finally {
    stream.off('end', onEnd).off('error', onError).off('close', onClose).off('data', onData);
  }
  if (failure) throw failure;
}
