import { open } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import type { Bytes, Ingest } from '../../content/content-store.ts';
import type { Digest } from '../../oci/digest.ts';
import type { RegistryContent } from './registry-content.ts';
import { sendBlob, sendPart } from './send-file.ts';

export interface FlightOptions {
  readonly content: RegistryContent;
  readonly digest: Digest;
  readonly size: number;
  /** The blob from a byte on. */
  readonly fetch: (offset: number) => Bytes;
  /** It is in the store. */
  readonly landed: () => Promise<void>;
}

/**
 * A blob that comes from elsewhere once, however many wait for it: each reads what is there already and then what comes.
 * Nobody else finds it before it is whole and its digest right; those that were sent a wrong one see their connection end.
 */
export class BlobFlight {
  readonly size: number;
  /** Rejects when it does not come. */
  readonly landed: Promise<void>;
  readonly #options: FlightOptions;
  #file: string | undefined;
  #available = 0;
  #news = Promise.withResolvers<void>();
  #ended = false;
  #failure: unknown;

  constructor(options: FlightOptions) {
    this.#options = options;
    this.size = options.size;
    this.landed = this.#run();
    this.landed.catch(() => undefined);
  }

  /** Sends a part of it as the body. */
  async send(response: ServerResponse, { start, end }: { start: number; end: number }): Promise<void> {
    await this.#until(start + 1);
    if (this.#file === undefined) {
      await this.landed;
      return sendBlob(response, this.#options.content, this.#options.digest, { start, end });
    }
    await using handle = await this.#openFile();
    for (let position = start; position < end;) {
      await this.#until(position + 1);
      const next = Math.min(this.#available, end);
      await sendPart(response, handle, { start: position, end: next - 1 });
      position = next;
    }
    // The last byte only once all of them are right: without it nobody takes it for an answer.
    await this.landed;
    await sendPart(response, handle, { start: end, end });
    response.end();
  }

  /** When it has landed in between, its file has another name. */
  async #openFile(): ReturnType<typeof open> {
    try {
      return await open(this.#file!, 'r');
    } catch {
      await this.landed;
      return open(this.#options.content.path!(this.#options.digest), 'r');
    }
  }

  async #until(bytes: number): Promise<void> {
    while (this.#available < bytes && !this.#ended) await this.#news.promise;
    if (this.#failure !== undefined) throw this.#failure as Error;
  }

  async #run(): Promise<void> {
    const { content, digest, size, fetch, landed } = this.#options;
    try {
      // By a name: what an earlier server got is where this one goes on.
      await using ingest = await content.ingest(`upstream ${digest}`);
      await this.#receive(ingest, fetch);
      await ingest.commit({ digest, size });
      await landed();
    } catch (error) {
      this.#failure = error;
      throw error;
    } finally {
      this.#ended = true;
      this.#tell();
    }
  }

  async #receive(ingest: Ingest, fetch: (offset: number) => Bytes): Promise<void> {
    this.#file = ingest.file;
    this.#available = ingest.offset;
    this.#tell();
    if (ingest.offset >= this.size) return;
    for await (const chunk of fetch(ingest.offset)) {
      await ingest.append(chunk);
      this.#available = ingest.offset;
      this.#tell();
    }
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers<void>();
  }
}
