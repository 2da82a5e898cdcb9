import { posix } from 'node:path';
import { textOf } from '../../base/byte-string.ts';
import { EngineError } from '../../base/errors.ts';
import { collect, MAX_DOCUMENT_BYTES } from '../../content/children.ts';
import type { Bytes, ContentStore } from '../../content/content-store.ts';
import { readTar } from '../../content/tar/reader.ts';
import { type Digest, isDigest } from '../../oci/digest.ts';
import type { Lease } from '../../state/leases.ts';

/** Files in one archive of images; each costs a blob. */
const MAX_MEMBERS = 20_000;
/** Documents that are read into memory, and not into the store. */
const DOCUMENTS = new Set(['manifest.json', 'index.json', 'oci-layout', 'repositories']);

/** A file of the archive, as a blob of the store. */
export interface ArchiveMember {
  readonly digest: Digest;
  readonly size: number;
}

/**
 * What an archive of images holds, after one pass over it: its files are blobs, on the lease, and its names are keys of a
 * map. Nothing is ever unpacked by name, so no name can point anywhere but to another member.
 */
export class ArchiveIndex {
  readonly #documents = new Map<string, Buffer>();
  readonly #members = new Map<string, ArchiveMember>();
  readonly #links = new Map<string, string>();

  /** Throws `corrupt` (no archive, content that is not the digest in its name), `too-large`. */
  static async read(
    tar: Bytes,
    options: {
      readonly content: ContentStore;
      readonly lease: Lease;
      readonly signal?: AbortSignal | undefined;
      readonly onMember?: (name: string, size: number) => void;
    },
  ): Promise<ArchiveIndex> {
    const index = new ArchiveIndex();
    let count = 0;
    for await (const { header, body } of readTar(tar)) {
      options.signal?.throwIfAborted();
      if (++count > MAX_MEMBERS) throw new EngineError('too-large', `the archive has more than ${MAX_MEMBERS} entries`);
      const name = memberName(textOf(header.name));
      if (name === undefined) continue;
      if (header.type === 'file') {
        options.onMember?.(name, header.size);
        await index.#take(name, body, options);
      } else if (header.type === 'symlink') {
        index.#links.set(name, posix.join(posix.dirname(name), textOf(header.linkName)));
      } else if (header.type === 'hard-link') {
        index.#links.set(name, memberName(textOf(header.linkName)) ?? '');
      }
    }
    return index;
  }

  async #take(name: string, body: Bytes, { content, lease }: { content: ContentStore; lease: Lease }): Promise<void> {
    this.#links.delete(name);
    if (DOCUMENTS.has(name)) {
      this.#documents.set(name, await collect(body, MAX_DOCUMENT_BYTES, name));
      return;
    }
    await using ingest = await content.ingest();
    for await (const chunk of body) await ingest.append(chunk);
    const expected = digestInName(name);
    const blob = await ingest.commit({
      ...(expected && { digest: expected }),
      announce: (digest) => lease.add('blob', digest),
    });
    this.#members.set(name, { digest: blob.digest, size: blob.size });
  }

  /** The text of one of the documents that say what the archive is; undefined when it has none. */
  document(name: string): Buffer | undefined {
    return this.#documents.get(name);
  }

  /** The file of that name, links followed inside the archive. Throws `corrupt`. */
  member(name: string): ArchiveMember {
    let at = memberName(name);
    for (let hops = 0; at !== undefined && hops < 16; hops++) {
      const member = this.#members.get(at);
      if (member) return member;
      at = this.#links.get(at);
    }
    throw new EngineError('corrupt', `invalid archive: ${JSON.stringify(name.slice(0, 200))} is not in it`);
  }

  /** The blob of an OCI layout. Throws `corrupt` when it is not there, or of another size. */
  blob({ digest, size }: ArchiveMember): ArchiveMember {
    const member = this.member(`blobs/${digest.replace(':', '/')}`);
    if (member.size !== size) {
      throw new EngineError('corrupt', `${digest} has ${member.size} bytes instead of ${size}`);
    }
    return { digest, size };
  }
}

/** One spelling for each name; undefined for what is absolute, leaves the archive, or is its root. */
function memberName(name: string): string | undefined {
  const clean = posix.normalize(name).replace(/\/$/, '');
  if (clean === '' || clean === '.' || clean === '..' || clean.startsWith('../') || clean.startsWith('/'))
    return undefined;
  return clean;
}

function digestInName(name: string): Digest | undefined {
  const match = /^blobs\/(sha256|sha512)\/([a-f0-9]+)$/.exec(name);
  const digest = match && `${match[1]}:${match[2]}`;
  return digest && isDigest(digest) ? digest : undefined;
}
