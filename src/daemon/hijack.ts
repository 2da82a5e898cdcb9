import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import type { AttachSession } from '../engine/engine.ts';
import { hasHungUp } from '../linux/hang-up.ts';
import { ready } from './ready.ts';

export const RAW_STREAM = 'application/vnd.docker.raw-stream';
export const MULTIPLEXED_STREAM = 'application/vnd.docker.multiplexed-stream';

/** How often a client that sends no more is looked at. */
const HANG_UP_CHECK_MS = 2000;
/** How long a client may go on sending after its session ended. */
const LINGER_MS = 5000;

/** `[stream, 0, 0, 0, length as 32 bits big-endian]`, before each piece of a multiplexed stream. */
export function frameHeader(stream: 1 | 2, length: number): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(length, 4);
  return header;
}

/** The content type that a stream is announced with. */
export function streamType(tty: boolean, version: number): string {
  return tty || version < 42 ? RAW_STREAM : MULTIPLEXED_STREAM;
}

/**
 * Joins a taken-over connection to a session, both ways, until the session's output ends or the client is gone.
 * The client's half-close ends the session's input and nothing else. Never rejects.
 */
export async function joinSession(
  connection: { readonly socket: Duplex; readonly head: Buffer },
  session: AttachSession,
  options: { readonly multiplexed: boolean; readonly stdin: boolean; readonly signal: AbortSignal },
): Promise<void> {
  const { socket, head } = connection;
  const gone = (): void => session.close();
  socket.on('error', gone);
  socket.on('close', gone);
  options.signal.addEventListener('abort', gone, { once: true });
  const stopWatching = watchHangUp(socket);
  const input = passInput(socket, head, session, options.stdin);
  try {
    await passOutput(socket, session, options.multiplexed);
  } catch {
    // The output failed or the client is gone: either way nothing more can be said on this connection.
  } finally {
    session.close();
    stopWatching();
    options.signal.removeEventListener('abort', gone);
    await finish(socket);
    await input;
  }
}

/** Writes a sentence to the client where its output would be, and ends. For errors after the connection was taken over. */
export async function endWithMessage(socket: Duplex, message: string, multiplexed: boolean): Promise<void> {
  const text = Buffer.from(`${message}\r\n`);
  if (multiplexed) socket.write(frameHeader(1, text.length));
  socket.write(text);
  await finish(socket);
}

async function passOutput(socket: Duplex, session: AttachSession, multiplexed: boolean): Promise<void> {
  for await (const { stream, data } of session.output) {
    if (data.length === 0) continue;
    socket.cork();
    if (multiplexed) socket.write(frameHeader(stream, data.length));
    const room = socket.write(data);
    socket.uncork();
    if (socket.destroyed) return;
    // Only this client's cursor waits; the container writes on.
    if (!room) await ready(socket);
  }
}

async function passInput(socket: Duplex, head: Buffer, session: AttachSession, stdin: boolean): Promise<void> {
  try {
    if (stdin && head.length > 0 && (await session.write(head)) === 'detached') return;
    // Read even without stdin: that is how we learn that the client went.
    for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      if (stdin && (await session.write(chunk)) === 'detached') return;
    }
  } catch {
    // Input that can no longer be delivered is dropped, as by a pipe without a reader; the output goes on.
    socket.resume();
  }
  // A client that was killed sends no more either.
  if (stdin) await session.endInput().catch(() => {});
}

/**
 * A client that was killed looks like one that half-closed, until something is written to it; to a container that
 * prints nothing nobody writes. Destroys the socket of such a client. Gives what ends the watching.
 */
function watchHangUp(socket: Duplex): () => void {
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    const fd = (socket as { _handle?: { fd?: number } | null })._handle?.fd;
    if (fd !== undefined && fd >= 0 && hasHungUp(fd)) socket.destroy();
  };
  const begin = (): void => {
    timer ??= setInterval(look, HANG_UP_CHECK_MS);
    look();
  };
  socket.once('end', begin);
  return () => {
    socket.off('end', begin);
    clearInterval(timer);
  };
}

/** Flushes, ends our side, and lets the other side end. */
async function finish(socket: Duplex): Promise<void> {
  if (socket.destroyed) return;
  const closed = once(socket, 'close').catch(() => {});
  socket.end();
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  await closed;
  clearTimeout(timer);
}
