import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { EngineError } from '../base/errors.ts';

/** Bodies of requests that upgrade are the few options of an exec. */
const MAX_BYTES = 64 << 10;

/**
 * Parts the body of a request that upgrades from what follows it on the connection: Node hands over both together.
 * Some clients announce a chunked body and send none; then everything is the stream.
 */
export async function splitEarlyBody(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<{ body: Buffer; rest: Buffer }> {
  if (request.headers['transfer-encoding'] !== undefined) return splitChunked(head);
  const length = Number(request.headers['content-length'] ?? 0);
  if (length > MAX_BYTES)
    throw new EngineError('too-large', `the body of an upgrade may have at most ${MAX_BYTES >> 10} KiB`);
  let bytes = head;
  while (bytes.length < length) {
    const chunk = socket.read() as Buffer | null;
    if (chunk) bytes = Buffer.concat([bytes, chunk]);
    else if (socket.readableEnded || socket.destroyed) throw new EngineError('cancelled', 'the client is gone');
    else await Promise.race([once(socket, 'readable'), once(socket, 'end'), once(socket, 'close')]);
  }
  return { body: bytes.subarray(0, length), rest: bytes.subarray(length) };
}

function splitChunked(head: Buffer): { body: Buffer; rest: Buffer } {
  const chunks: Buffer[] = [];
  for (let at = 0; ;) {
    const line = head.indexOf('\r\n', at);
    const size = line < 0 ? NaN : parseInt(head.toString('latin1', at, line), 16);
    const end = line + 2 + size + 2;
    if (!(end <= head.length)) return { body: Buffer.alloc(0), rest: head };
    if (size === 0) return { body: Buffer.concat(chunks), rest: head.subarray(end) };
    chunks.push(head.subarray(line + 2, end - 2));
    at = end;
  }
}
