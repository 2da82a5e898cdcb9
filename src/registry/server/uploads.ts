import { randomUUID } from 'node:crypto';
import type { Bytes, ContentStore, Ingest } from '../../content/content-store.ts';
import type { Digest } from '../../oci/digest.ts';
import { ProtocolError } from './protocol-error.ts';

/** An upload that nobody went on with for so long is gone. */
const IDLE_MS = 3600_000;
const MAX_OPEN = 1000;

export interface UploadOwner {
  readonly repository: string;
  /** Who began it: nobody else may go on with it. */
  readonly subject: string | undefined;
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
    try {
      for await (const chunk of body) {
        if (this.#ingest.offset + chunk.byteLength > this.#maxBytes) throw tooLarge(this.#maxBytes);
        await this.#ingest.append(chunk);
        this.touchedAt = Date.now();
      }
    } finally {
      this.#busy = false;
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

/** The uploads that are open. They do not outlive the server: a client begins again then. */
export class Uploads {
  readonly #content: ContentStore;
  readonly #maxBytes: number;
  readonly #open = new Map<string, Upload>();
  readonly #timer: NodeJS.Timeout;

  constructor(content: ContentStore, options: { maxBytes: number }) {
    this.#content = content;
    this.#maxBytes = options.maxBytes;
    this.#timer = setInterval(() => void this.#expire(), IDLE_MS / 60).unref();
  }

  async begin(owner: UploadOwner, announcedBytes?: number): Promise<Upload> {
    if (announcedBytes !== undefined && announcedBytes > this.#maxBytes) throw tooLarge(this.#maxBytes);
    if (this.#open.size >= MAX_OPEN) {
      throw new ProtocolError(429, 'TOOMANYREQUESTS', `${MAX_OPEN} uploads are open`, { 'retry-after': '10' });
    }
    const upload = new Upload(owner, await this.#content.ingest(), this.#maxBytes);
    this.#open.set(upload.id, upload);
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
  }

  async cancel(upload: Upload): Promise<void> {
    this.#open.delete(upload.id);
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
