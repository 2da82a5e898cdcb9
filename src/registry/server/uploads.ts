import { randomUUID } from 'node:crypto';
import type { Bytes, Ingest } from '../../content/content-store.ts';
import type { Digest } from '../../oci/digest.ts';
import type { RegistryContent } from './registry-content.ts';
import { ProtocolError } from './protocol-error.ts';

/** An upload that nobody went on with for so long is gone. */
const IDLE_MS = 3600_000;
const MAX_OPEN = 1000;
/** Of one upload, not written yet. */
const QUEUE_BYTES = 1 << 20;

export interface UploadOwner {
  readonly repository: string;
  /** Who began it: nobody else may go on with it. */
  readonly subject: string | undefined;
}

/** Where an upload comes from, which may change while it goes on. */
export interface UploadOrigin {
  readonly address: string;
  readonly announcedBytes?: number | undefined;
}

/** A blob on its way, in as many requests as the client likes; one of them at a time. */
export class Upload {
  readonly id = randomUUID();
  readonly owner: UploadOwner;
  readonly #ingest: Ingest;
  readonly #maxBytes: number;
  #busy = false;
  touchedAt = Date.now();

  constructor(owner: UploadOwner, ingest: Ingest, maxBytes: number) {
    this.owner = owner;
    this.#ingest = ingest;
    this.#maxBytes = maxBytes;
  }

  get offset(): number {
    return this.#ingest.offset;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Appends. What came before a client went away stays. Throws 413, and 416 while another request writes. */
  async append(body: Bytes): Promise<void> {
    if (this.#busy) throw new ProtocolError(416, 'BLOB_UPLOAD_INVALID', 'another request writes to this upload');
    this.#busy = true;
    const queue = new WriteQueue(this.#ingest);
    try {
      let offset = this.#ingest.offset;
      for await (const chunk of body) {
        offset += chunk.byteLength;
        if (offset > this.#maxBytes) throw tooLarge(this.#maxBytes);
        await queue.add(chunk);
        this.touchedAt = Date.now();
      }
    } finally {
      // Also what came before the client went away.
      await queue.drain().finally(() => (this.#busy = false));
    }
  }

  /** The blob is in the store afterwards. Throws `corrupt` when it is not `digest`; then the upload is gone. */
  async commit(digest: Digest): Promise<void> {
    await this.#ingest.commit({ digest });
  }

  abort(): Promise<void> {
    return this.#ingest.abort();
  }
}

/** Chunks that come while others are being written go with the next write: few writes, and never more than a little in memory. */
class WriteQueue {
  readonly #ingest: Ingest;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #writing: Promise<void> | undefined;
  #failure: unknown;

  constructor(ingest: Ingest) {
    this.#ingest = ingest;
  }

  /** Throws what an earlier write threw. */
  async add(chunk: Uint8Array): Promise<void> {
    this.#waiting.push(chunk);
    this.#bytes += chunk.byteLength;
    this.#writing ??= this.#write();
    if (this.#bytes >= QUEUE_BYTES) await this.#writing;
    this.#check();
  }

  async drain(): Promise<void> {
    await this.#writing;
    this.#check();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure as Error;
  }

  async #write(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const chunks = this.#waiting;
        this.#waiting = [];
        this.#bytes = 0;
        await this.#ingest.append(...chunks);
      }
    } catch (error) {
      this.#failure = error;
      this.#waiting = [];
    } finally {
      this.#writing = undefined;
    }
  }
}

/** The uploads that are open. They do not outlive the server: a client begins again then. */
export class Uploads {
  readonly #content: RegistryContent;
  readonly #maxBytes: number;
  readonly #perClient: number;
  readonly #open = new Map<string, Upload>();
  readonly #addresses = new Map<string, string>();
  readonly #timer: NodeJS.Timeout;

  constructor(content: RegistryContent, options: { maxBytes: number; perClient?: number }) {
    this.#content = content;
    this.#maxBytes = options.maxBytes;
    this.#perClient = options.perClient ?? MAX_OPEN;
    this.#timer = setInterval(() => void this.#expire(), IDLE_MS / 60).unref();
  }

  get size(): number {
    return this.#open.size;
  }

  async begin(owner: UploadOwner, { address, announcedBytes }: UploadOrigin): Promise<Upload> {
    if (announcedBytes !== undefined && announcedBytes > this.#maxBytes) throw tooLarge(this.#maxBytes);
    if (this.#open.size >= MAX_OPEN) {
      throw new ProtocolError(429, 'TOOMANYREQUESTS', `${MAX_OPEN} uploads are open`, { 'retry-after': '10' });
    }
    const ofClient = [...this.#open.keys()].filter((id) => this.#addresses.get(id) === address).length;
    if (ofClient >= this.#perClient) {
      const words = `${this.#perClient} uploads of this address are open`;
      throw new ProtocolError(429, 'TOOMANYREQUESTS', words, { 'retry-after': '10' });
    }
    const upload = new Upload(owner, await this.#content.ingest(), this.#maxBytes);
    this.#open.set(upload.id, upload);
    this.#addresses.set(upload.id, address);
    return upload;
  }

  /** Throws 404 for one of another repository or person as for one that there is not. */
  get(id: string, owner: UploadOwner): Upload {
    const upload = this.#open.get(id);
    if (!upload || upload.owner.repository !== owner.repository || upload.owner.subject !== owner.subject) {
      throw new ProtocolError(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
    }
    return upload;
  }

  /** Whoever took it out commits or aborts it; nobody else can find it any more. */
  take(upload: Upload): void {
    this.#open.delete(upload.id);
    this.#addresses.delete(upload.id);
  }

  async cancel(upload: Upload): Promise<void> {
    this.#open.delete(upload.id);
    this.#addresses.delete(upload.id);
    await upload.abort();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#open.values()].map((upload) => this.cancel(upload)));
  }

  async #expire(): Promise<void> {
    const since = Date.now() - IDLE_MS;
    for (const upload of this.#open.values()) if (!upload.busy && upload.touchedAt < since) await this.cancel(upload);
  }
}

function tooLarge(limit: number): ProtocolError {
  return new ProtocolError(413, 'SIZE_INVALID', `blobs may have ${limit} bytes here`, { connection: 'close' });
}
