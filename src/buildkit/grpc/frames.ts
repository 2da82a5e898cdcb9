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
    const bytes = this.#take(chunk);
    const messages: Buffer[] = [];
    let at = 0;
    for (let end = this.#endOfFrame(bytes, at); end > at; end = this.#endOfFrame(bytes, at)) {
      messages.push(bytes.subarray(at + HEADER, end));
      at = end;
    }
    this.#keep(bytes.subarray(at));
    return messages;
  }

  /**
   * The frames that are whole with `chunk`, uncut, as long as their messages begin with the byte `first`; the message that
   * does not, often an empty one, is the `last`. What is behind it comes with the next call.
   */
  pushWhile(first: number, chunk: Buffer): { readonly frames: Buffer; readonly last: Buffer | undefined } {
    const bytes = this.#take(chunk);
    let at = 0;
    for (let end = this.#endOfFrame(bytes, at); end > at; end = this.#endOfFrame(bytes, at)) {
      if (end === at + HEADER || bytes[at + HEADER] !== first) {
        this.#keep(bytes.subarray(end));
        this.#need = HEADER;
        return { frames: bytes.subarray(0, at), last: bytes.subarray(at + HEADER, end) };
      }
      at = end;
    }
    this.#keep(bytes.subarray(at));
    return { frames: bytes.subarray(0, at), last: undefined };
  }

  /** True when what came ends in the middle of a message. */
  get torn(): boolean {
    return this.#length > 0;
  }

  /** What is there with `chunk`; nothing as long as that is less than the frame that is waited for. */
  #take(chunk: Buffer): Buffer {
    this.#pending.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#need) return EMPTY;
    const bytes = this.#pending.length === 1 ? this.#pending[0]! : Buffer.concat(this.#pending, this.#length);
    this.#pending = [];
    this.#length = 0;
    this.#need = HEADER;
    return bytes;
  }

  #keep(rest: Buffer): void {
    if (rest.length === 0) return;
    this.#pending.push(rest);
    this.#length += rest.length;
  }

  /** Where the frame ends that begins at `at`; `at` itself when it is not whole. */
  #endOfFrame(bytes: Buffer, at: number): number {
    if (bytes.length - at < HEADER) return at;
    if (bytes[at] !== 0) throw new GrpcError(GRPC.unimplemented, 'compressed messages are not supported');
    const length = bytes.readUInt32BE(at + 1);
    if (length > MAX_MESSAGE)
      throw new GrpcError(
        GRPC.resourceExhausted,
        `a message of ${length} bytes is larger than the ${MAX_MESSAGE} that are allowed`,
      );
    const end = at + HEADER + length;
    if (end <= bytes.length) return end;
    this.#need = HEADER + length;
    return at;
  }
}

const EMPTY = Buffer.alloc(0);
