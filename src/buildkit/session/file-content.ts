import { EngineError } from '../../base/errors.ts';
import type { Transfer } from './file-sync.ts';

export interface WantedFile {
  /** Place in the engine's list. */
  readonly index: number;
  /** Place in the client's list. */
  readonly id: number;
  readonly size: number;
}

/** What may be asked for and not be there yet. */
const AHEAD_BYTES = 8 << 20;
const AHEAD_FILES = 512;
/** Files beyond this are passed on as they come; smaller ones when they are whole. */
const WHOLE = 1 << 20;

/**
 * Asks for files and gives them in the order in which they are wanted, as frames of `index (u32) size (u64) content
 * changed (u8)`. The client sends several at once, in pieces: what comes too early is kept until its turn.
 */
export async function* contentFrames(
  wanted: readonly WantedFile[],
  transfer: Pick<Transfer, 'request' | 'data'>,
): AsyncGenerator<Uint8Array> {
  const arriving = new Map<number, Arrival>();
  let asked = 0;
  let ahead = 0;
  for (const file of wanted) {
    const ask = async (): Promise<void> => {
      // Many together: each time is a write to the connection.
      if (asked < wanted.length && arriving.size > AHEAD_FILES / 2 && arriving.has(file.id)) return;
      const ids: number[] = [];
      while (asked < wanted.length && arriving.size < AHEAD_FILES && (ahead < AHEAD_BYTES || arriving.size === 0)) {
        const next = wanted[asked++]!;
        ahead += next.size;
        arriving.set(next.id, new Arrival(next));
        ids.push(next.id);
      }
      if (ids.length > 0) await transfer.request(ids);
    };
    const receive = async (): Promise<void> => {
      const pieces = await transfer.data();
      if (!pieces) throw new EngineError('invalid-argument', 'the client stopped sending files in the middle');
      for (const { id, bytes } of pieces) {
        const arrival = arriving.get(id);
        if (!arrival) throw new EngineError('invalid-argument', `the client sent file ${id}, which nobody asked for`);
        arrival.push(bytes);
      }
    };
    await ask();
    const arrival = arriving.get(file.id)!;
    while (!arrival.whole && file.size <= WHOLE) await receive();
    const size = arrival.whole ? arrival.received : file.size;
    yield header(file.index, size);
    let left = size;
    for (;;) {
      for (const piece of arrival.take()) {
        // One that grows while it is sent is cut where the list said it ends, and asked for again next time.
        const part = piece.subarray(0, left);
        left -= part.length;
        if (part.length > 0) yield part;
      }
      if (arrival.whole) break;
      await receive();
    }
    if (left > 0)
      throw new EngineError('invalid-argument', `a file became shorter while the client sent it: build again`);
    yield Uint8Array.of(arrival.received === file.size ? 0 : 1);
    arriving.delete(file.id);
    ahead -= file.size;
  }
}

/** A file on its way. */
class Arrival {
  /** Bytes that count. */
  received = 0;
  whole = false;
  readonly #file: WantedFile;
  #pieces: Uint8Array[] = [];

  constructor(file: WantedFile) {
    this.#file = file;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) {
      this.whole = true;
      return;
    }
    if (this.whole)
      throw new EngineError('invalid-argument', `the client sent more of file ${this.#file.id} after its end`);
    // What was announced may be kept in memory, and a file that grows meanwhile a little more; no client can send for ever.
    if (this.received > this.#file.size + WHOLE) return;
    this.received += bytes.length;
    this.#pieces.push(bytes);
  }

  take(): Uint8Array[] {
    const taken = this.#pieces;
    this.#pieces = [];
    return taken;
  }
}

function header(index: number, size: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(12);
  bytes.writeUInt32BE(index, 0);
  bytes.writeBigUInt64BE(BigInt(size), 4);
  return bytes;
}
