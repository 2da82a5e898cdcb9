import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { createHash } from 'node:crypto';
import { EngineError } from '../../base/errors.ts';
import { WorkerThreads } from '../../base/worker-job.ts';
import type { ClientDirectorySource } from '../../engine/builder/client-files/client-files.ts';
import type { RawCall } from '../grpc/client.ts';
import { Deframer } from '../grpc/frames.ts';
import { type Packet, Packet_PacketType, PacketSchema } from '../protocol/files_pb.ts';
import { contentFrames, type WantedFile } from './file-content.ts';
import { type Listing, ListReader } from './file-list.ts';

export interface FileSyncOptions {
  /** As the client calls the directory. */
  readonly name: string;
  readonly key: string;
  /** Opens the transfer. */
  readonly open: (signal: AbortSignal | undefined) => RawCall;
  /** Told what the transfer does: its begin, each piece of content, its end. */
  readonly watcher?: TransferWatcher | undefined;
}

export interface TransferWatcher {
  began(): void;
  received(bytes: number): void;
  ended(): void;
}

const threads = new WorkerThreads('buildkit/session/file-list');

/** A list is kept up to here until its digest is known; a longer one is read as it comes. */
const MAX_KEPT = 32 << 20;

/** A list up to here is read at once: a few hundred files, which take less time than to wake a thread. */
const SHORT = 32 << 10;

/**
 * A directory of a client, by the file transfer of BuildKit's session: the client lists what is there, is asked for what
 * changed, and sends that. A list that is known already is not looked into; others are read in a worker thread, however
 * long they are.
 */
export class FileSyncSource implements ClientDirectorySource {
  readonly key: string;
  readonly name: string;
  readonly #options: FileSyncOptions;
  #transfer: Transfer | undefined;

  constructor(options: FileSyncOptions) {
    this.#options = options;
    this.key = options.key;
    this.name = options.name;
  }

  async listed(signal: AbortSignal | undefined): Promise<string | undefined> {
    this.#options.watcher?.began();
    const transfer = new Transfer(this.#options.open(signal));
    this.#transfer = transfer;
    try {
      const digest = await transfer.keepList();
      // With nothing to ask for this is all there is.
      transfer.whole = digest !== undefined;
      return digest;
    } catch (error) {
      transfer.call.cancel();
      throw error;
    }
  }

  async *manifest(signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const transfer = this.#transfer!;
    transfer.whole = false;
    const short = transfer.shortList();
    if (short) {
      const reader = new ListReader();
      yield Buffer.from(`[${reader.read(short)}]`);
      transfer.listing = reader.listing;
      transfer.whole = true;
      return;
    }
    const job = threads.stream({
      job: 'list',
      parameters: undefined,
      input: transfer.list(),
      givesInput: true,
      signal,
    });
    try {
      let sizes: Listing | undefined;
      for await (const chunk of job) {
        if (chunk[0] === LISTING) sizes = readListing(chunk);
        else yield chunk.subarray(1);
      }
      transfer.listing = sizes;
      transfer.whole = true;
    } catch (error) {
      transfer.call.cancel();
      throw transfer.failure ?? error;
    }
  }

  async *content(needed: readonly number[]): AsyncGenerator<Uint8Array> {
    const transfer = this.#transfer!;
    transfer.whole = false;
    const { ids, sizes } = transfer.listing!;
    const wanted = needed.map((index): WantedFile => ({ index, id: ids[index]!, size: sizes[index]! }));
    for await (const frame of contentFrames(wanted, transfer)) {
      this.#options.watcher?.received(frame.length);
      yield frame;
    }
    transfer.whole = true;
  }

  /** Tells the client that all is there, or gives the transfer up. */
  async close(): Promise<void> {
    const transfer = this.#transfer;
    this.#transfer = undefined;
    if (!transfer) return;
    this.#options.watcher?.ended();
    if (!transfer.whole) transfer.call.cancel();
    // The client's goodbye is nothing that a build waits for.
    else void transfer.finish().catch(() => {});
  }
}

const LISTING = 1;

/** What packets of a list begin with: they have nothing but an entry, which is their second field. */
const STAT_TAG = 0x12;

function readListing(chunk: Uint8Array): Listing {
  return JSON.parse(Buffer.from(chunk.subarray(1)).toString()) as Listing;
}

/** One call of the file transfer: first the list, then what is asked for. */
export class Transfer {
  readonly call: RawCall;
  listing: Listing | undefined;
  failure: Error | undefined;
  /** All that was asked for is there. */
  whole = false;
  readonly #chunks: AsyncGenerator<Buffer>;
  readonly #deframer = new Deframer();
  /** Frames of the list that were kept. */
  #kept: Buffer[] = [];
  #listEnded = false;
  /** Messages that came in one chunk with the list's end are given before anything more is waited for. */
  #early = false;

  constructor(call: RawCall) {
    this.call = call;
    this.#chunks = call.chunks();
  }

  /** Waits for the list, and gives the sha256 of its frames in hex; undefined for one that is too long to be kept. */
  async keepList(): Promise<string | undefined> {
    const hash = createHash('sha256');
    for (let size = 0; size <= MAX_KEPT;) {
      const frames = await this.#nextOfList();
      if (!frames) return hash.digest('hex');
      size += frames.length;
      hash.update(frames);
      this.#kept.push(frames);
    }
    return undefined;
  }

  /** All frames of a list that is not long; undefined for others. Given once, instead of `list`. */
  shortList(): Buffer | undefined {
    const size = this.#kept.reduce((sum, { length }) => sum + length, 0);
    if (!this.#listEnded || size > SHORT) return undefined;
    const frames = Buffer.concat(this.#kept);
    this.#kept = [];
    return frames;
  }

  /** The frames of the list, up to the empty one that ends it. Given once. */
  async *list(): AsyncGenerator<Uint8Array> {
    for (let kept = this.#kept.shift(); kept; kept = this.#kept.shift()) yield kept;
    for (let next = await this.#nextOfList(); next; next = await this.#nextOfList()) yield next;
  }

  /** Asks for files. */
  async request(ids: readonly number[]): Promise<void> {
    await this.call.send(...ids.map((ID) => encoded({ type: Packet_PacketType.PACKET_REQ, ID })));
  }

  /** Pieces of files: an empty one ends its file. Undefined when the client sends no more. */
  async data(): Promise<readonly { readonly id: number; readonly bytes: Uint8Array }[] | undefined> {
    const messages = await this.#next();
    return messages?.map((message) => this.#piece(message)).filter((piece) => piece !== undefined);
  }

  async finish(): Promise<void> {
    await this.call.send(encoded({ type: Packet_PacketType.PACKET_FIN }));
    // The client answers with its own end, which changes nothing.
    this.call.finish();
  }

  /** In memory of their own. */
  async #nextOfList(): Promise<Buffer | undefined> {
    while (!this.#listEnded) {
      const { value, done } = await this.#chunks.next();
      if (done === true) throw this.#fail('the client ended the list of files in the middle');
      const { frames, last } = this.#deframer.pushWhile(STAT_TAG, value);
      // It ends with an empty packet. Another is what the client reports in the middle, and then it may say no more.
      if (last && last.length > 0) throw this.#refused(last);
      this.#listEnded = this.#early = last !== undefined;
      if (frames.length > 0) return Buffer.from(new Uint8Array(frames).buffer);
    }
    return undefined;
  }

  async #next(): Promise<Buffer[] | undefined> {
    if (this.#early) {
      this.#early = false;
      const messages = this.#deframer.push(Buffer.alloc(0));
      if (messages.length > 0) return messages;
    }
    for (;;) {
      const { value, done } = await this.#chunks.next();
      if (done === true) return undefined;
      const messages = this.#deframer.push(value);
      if (messages.length > 0) return messages;
    }
  }

  #piece(message: Buffer): { readonly id: number; readonly bytes: Uint8Array } | undefined {
    const { type, id, bytes } = readPacket(message);
    if (type === Packet_PacketType.PACKET_DATA) return { id, bytes };
    if (type === Packet_PacketType.PACKET_FIN) return undefined;
    throw this.#refused(message);
  }

  #refused(message: Buffer): Error {
    const { type, bytes } = readPacket(message);
    return this.#fail(
      type === Packet_PacketType.PACKET_ERR
        ? `error from sender: ${Buffer.from(bytes).toString()}`
        : `the client sent a packet of type ${type} where ${this.#listEnded ? 'content' : 'a list of files'} was due`,
    );
  }

  #fail(message: string): Error {
    this.failure = new EngineError('invalid-argument', message);
    return this.failure;
  }
}

function encoded(packet: Partial<Omit<Packet, '$typeName'>>): Uint8Array {
  return toBinary(PacketSchema, create(PacketSchema, packet));
}

/** Kind, id and bytes of a packet; the list's details are for others. */
function readPacket(message: Uint8Array): { type: number; id: number; bytes: Uint8Array } {
  const reader = new BinaryReader(message);
  const packet: { type: number; id: number; bytes: Uint8Array } = { type: 0, id: 0, bytes: EMPTY };
  try {
    while (reader.pos < reader.len) {
      const [field, wire] = reader.tag();
      if (field === 1 && wire === 0) packet.type = reader.int32();
      else if (field === 3 && wire === 0) packet.id = reader.uint32();
      else if (field === 4 && wire === 2) packet.bytes = reader.bytes();
      else reader.skip(wire, field);
    }
  } catch (error) {
    throw new EngineError('invalid-argument', `not a packet of a file transfer: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return packet;
}

const EMPTY = new Uint8Array(0);
