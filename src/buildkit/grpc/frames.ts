import { GRPC, GrpcError } from './status.ts';

/** A message of gRPC on the wire: `[compressed, length as 32 bits big-endian]` and its bytes. */
const HEADER = 5;

/** What clients and servers of this protocol allow for one message. */
export const MAX_MESSAGE = 16 << 20;

export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(HEADER + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, HEADER);
  return framed;
}

/** Cuts a stream of bytes into messages. Throws for what is too large, or compressed: we never announce that. */
export class Deframer {
  #pending: Buffer[] = [];
  #length = 0;
  #need = HEADER;

  /** The messages that are whole with `chunk`. They may share its memory. */
  push(chunk: Buffer): Buffer[] {
    this.#pending.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#need) return [];
    const bytes = this.#pending.length === 1 ? this.#pending[0]! : Buffer.concat(this.#pending, this.#length);
    const messages: Buffer[] = [];
    let at = 0;
    this.#need = HEADER;
    while (bytes.length - at >= HEADER) {
      if (bytes[at] !== 0) throw new GrpcError(GRPC.unimplemented, 'compressed messages are not supported');
      const length = bytes.readUInt32BE(at + 1);
      if (length > MAX_MESSAGE)
        throw new GrpcError(
          GRPC.resourceExhausted,
          `a message of ${length} bytes is larger than the ${MAX_MESSAGE} that are allowed`,
        );
      if (bytes.length - at < HEADER + length) {
        this.#need = HEADER + length;
        break;
      }
      messages.push(bytes.subarray(at + HEADER, at + HEADER + length));
      at += HEADER + length;
    }
    const rest = bytes.subarray(at);
    this.#pending = rest.length > 0 ? [rest] : [];
    this.#length = rest.length;
    return messages;
  }

  /** True when what came ends in the middle of a message. */
  get torn(): boolean {
    return this.#length > 0;
  }
}
