import type { Digest } from '../../oci/digest.ts';
import type { ImageStore } from '../../state/images.ts';
import type { RegistryManifestRow, RegistryRecords } from '../../state/registry-records.ts';

/** Indexes and subjects that are followed to what names them. */
const MAX_DEPTH = 5;

/** What of the served registry stays: it is asked by the collector, and by the registry before it shows something. */
export class RegistryRoots {
  readonly records: RegistryRecords;
  readonly #images: ImageStore;

  constructor(records: RegistryRecords, images: ImageStore) {
    this.records = records;
    this.#images = images;
  }

  /** Whether a tag, an image, an index or a subject that stays names the manifest, or it is young. */
  keeps(row: RegistryManifestRow, depth = 0): boolean {
    const { repository, digest, subject, keepUntil } = row;
    if (keepUntil > Date.now() || this.records.isTagged(repository, digest) || this.#isImage(repository, digest))
      return true;
    if (depth >= MAX_DEPTH) return false;
    if (subject !== undefined && (this.#isImage(repository, subject) || this.#isKept(repository, subject, depth)))
      return true;
    return this.records.parents(repository, digest).some((parent) => this.#isKept(repository, parent, depth));
  }

  /** Every blob that the registry keeps from being collected. */
  *blobs(): Iterable<Digest> {
    for (const { digest } of this.records.blobs()) yield digest;
    for (const row of this.records.manifests()) {
      if (!this.keeps(row)) continue;
      yield row.digest;
      yield* row.children;
    }
  }

  /** Forgets manifests that nothing keeps, and blobs that no manifest has named since `before` (ms). */
  forget(before: number): void {
    for (const row of this.records.manifests())
      if (!this.keeps(row)) this.records.deleteManifest(row.repository, row.digest);
    for (const repository of this.records.repositories()) {
      for (const { digest, linkedAt } of this.records.blobs(repository)) {
        if (linkedAt.getTime() <= before) this.records.unlinkBlob(repository, digest);
      }
    }
  }

  #isKept(repository: string, digest: Digest, depth: number): boolean {
    const row = this.records.manifest(repository, digest);
    return row !== undefined && this.keeps(row, depth + 1);
  }

  #isImage(repository: string, digest: Digest): boolean {
    return this.#images
      .referencesIn(repository)
      .some(({ target, image }) => target?.digest === digest || this.#images.get(image)?.manifest?.digest === digest);
  }
}
