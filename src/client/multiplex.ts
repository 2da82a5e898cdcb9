import { EngineError } from '../base/errors.ts';

export interface OutputPart {
  readonly stream: 'stdout' | 'stderr';
  readonly data: Buffer;
}

/**
 * Takes apart Docker's multiplexed stream: frames of `[stream, 0, 0, 0, length as 32 bit big-endian]` and payload.
 * Neighbouring payloads of one stream that came together are given together. Frames of stream 3 are the engine's
 * own errors and are thrown.
 */
export async function* demultiplex(body: AsyncIterable<Buffer>): AsyncGenerator<OutputPart, void, void> {
  let rest: Buffer = Buffer.alloc(0);
  let left = 0;
  let stream = 0;
  for await (const chunk of body) {
    const buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let parts: Buffer[] = [];
    let current = stream;
    let at = 0;
    for (;;) {
      if (left > 0) {
        if (at >= buffer.length) break;
        if (stream !== current) {
          if (parts.length > 0) yield part(current, parts);
          parts = [];
          current = stream;
        }
        const payload = buffer.subarray(at, at + left);
        parts.push(payload);
        at += payload.length;
        left -= payload.length;
        continue;
      }
      if (buffer.length - at < 8) break;
      stream = buffer[at]!;
      if (stream > 3) throw new EngineError('unavailable', `unrecognized stream: ${stream}`);
      left = buffer.readUInt32BE(at + 4);
      at += 8;
    }
    if (parts.length > 0) yield part(current, parts);
    rest = buffer.subarray(at);
  }
  if (rest.length > 0 || left > 0)
    throw new EngineError('unavailable', 'unexpected EOF in the middle of a frame of output');
}

function part(stream: number, parts: readonly Buffer[]): OutputPart {
  const data = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  if (stream === 3) throw new EngineError('internal', data.toString('utf8').trim());
  return { stream: stream === 2 ? 'stderr' : 'stdout', data };
}
