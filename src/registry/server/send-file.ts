import { type FileHandle, open } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Digest } from '../../oci/digest.ts';
import type { RegistryContent } from './registry-content.ts';

const CHUNK_BYTES = 256 << 10;
const MAX_SPARE = 16;
/** Fresh memory costs more than what is copied into it: buffers go from one download to the next. */
const SPARE: Buffer[] = [];

/**
 * Sends a part of a file as the body, reading ahead by one piece while another is on its way. A file that is deleted
 * meanwhile goes on to its end. Throws what reading throws, and when the client went away.
 */
export async function sendFile(
  response: ServerResponse,
  path: string,
  range: { start: number; end: number },
): Promise<void> {
  await using handle = await open(path, 'r');
  await sendPart(response, handle, range);
  response.end();
}

/** As `sendFile`, from wherever the blob is. */
export async function sendBlob(
  response: ServerResponse,
  content: RegistryContent,
  digest: Digest,
  range: { start: number; end: number },
): Promise<void> {
  if (content.path) return sendFile(response, content.path(digest), range);
  await pipeline(Readable.from(content.stream!(digest, range), { objectMode: false }), response);
}

/** As `sendFile`, of a file that is open, and without an end. */
export async function sendPart(
  response: ServerResponse,
  handle: FileHandle,
  { start, end }: { start: number; end: number },
): Promise<void> {
  const buffers = [
    SPARE.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES),
    SPARE.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES),
  ];
  let sent: Promise<void> = Promise.resolve();
  let position = start;
  try {
    for (let turn = 0; position <= end; turn++) {
      const length = Math.min(CHUNK_BYTES, end - position + 1);
      // What was read into this buffer before is with the kernel: the other one's sending was awaited after it.
      const { bytesRead } = await handle.read(buffers[turn % 2]!, 0, length, position);
      if (bytesRead === 0) throw new Error(`the file ends at ${position} of ${end + 1} bytes`);
      position += bytesRead;
      await sent;
      sent = write(response, buffers[turn % 2]!.subarray(0, bytesRead));
      // Its failure is thrown where it is awaited.
      sent.catch(() => undefined);
    }
    await sent;
  } finally {
    // Until then the buffers are still read from.
    await sent.then(
      () => SPARE.length < MAX_SPARE && SPARE.push(...buffers),
      () => undefined,
    );
  }
}

function write(response: ServerResponse, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(Object.assign(new Error('the client went away'), { code: 'ECONNRESET' }));
    if (response.destroyed || response.socket?.destroyed) return gone();
    response.once('close', gone);
    response.write(chunk, (error) => {
      response.off('close', gone);
      if (error) reject(error);
      else resolve();
    });
  });
}
