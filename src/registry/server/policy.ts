import type { Digest } from '../../oci/digest.ts';
import { repositoryPattern } from './access-rules.ts';
import { ProtocolError } from './protocol-error.ts';
import type { Repositories } from './repositories.ts';
import type { ImmutableRule, QuotaRule } from './settings.ts';

/** Sizes are added up anew after so long: collections and deletions make room. */
const RECOUNT_MS = 60_000;

/** Tags that stay where they were put. */
export class ImmutableTags {
  readonly #rules: readonly { readonly repositories: readonly RegExp[]; readonly tags: readonly RegExp[] }[];

  constructor(rules: readonly ImmutableRule[]) {
    this.#rules = rules.map(({ repositories, tags = ['**'] }) => ({
      repositories: repositories.map(repositoryPattern),
      tags: tags.map(repositoryPattern),
    }));
  }

  has(repository: string, tag: string): boolean {
    return this.#rules.some(
      ({ repositories, tags }) => repositories.some((one) => one.test(repository)) && tags.some((one) => one.test(tag)),
    );
  }

  /** Throws 403. */
  refuse(repository: string, tag: string): void {
    if (this.has(repository, tag)) {
      throw new ProtocolError(403, 'DENIED', `${repository}:${tag} is immutable: push it under another tag`);
    }
  }
}

interface Quota {
  readonly rule: QuotaRule;
  readonly patterns: readonly RegExp[];
  countedAt: number;
  /** Each counts once, in however many of the repositories it is. */
  blobs: Map<Digest, number>;
  counting: Promise<void> | undefined;
  /** Taken, and perhaps not yet where they are counted. */
  readonly coming: Set<{ readonly digest: Digest; readonly size: number }>;
}

/** Bytes that repositories may have together. */
export class Quotas {
  readonly #quotas: readonly Quota[];

  constructor(rules: readonly QuotaRule[]) {
    this.#quotas = rules.map((rule) => ({
      rule,
      patterns: rule.repositories.map(repositoryPattern),
      countedAt: 0,
      blobs: new Map(),
      counting: undefined,
      coming: new Set(),
    }));
  }

  /** Takes room for a blob; it is to be disposed of once the blob is linked, or is not going to be. Throws 403 when there is none. */
  async take(
    repositories: Repositories,
    repository: string,
    digest: Digest | undefined,
    size: number,
  ): Promise<Disposable> {
    using taken = new DisposableStack();
    for (const quota of this.#quotas) {
      if (!quota.patterns.some((pattern) => pattern.test(repository))) continue;
      if (Date.now() - quota.countedAt > RECOUNT_MS) {
        quota.counting ??= recount(quota, repositories).finally(() => (quota.counting = undefined));
        await quota.counting;
      }
      if (digest !== undefined && quota.blobs.has(digest)) continue;
      const used = quota.blobs.values().reduce((sum, one) => sum + one, 0);
      // No other comes between the look and the deed: nothing waits in here.
      if (used + size > quota.rule.maxBytes) {
        quota.countedAt = 0;
        throw new ProtocolError(
          403,
          'DENIED',
          `the quota of ${quota.rule.repositories.join(', ')} is ${quota.rule.maxBytes} bytes: ${used} are used, ${size} more do not fit`,
        );
      }
      if (digest === undefined) continue;
      quota.blobs.set(digest, size);
      const entry = { digest, size };
      quota.coming.add(entry);
      taken.defer(() => quota.coming.delete(entry));
    }
    return taken.move();
  }
}

async function recount(quota: Quota, { links, content }: Repositories): Promise<void> {
  const blobs = new Map<Digest, number>();
  const coming = new Set(quota.coming);
  for (const repository of await links.repositories()) {
    if (!quota.patterns.some((pattern) => pattern.test(repository))) continue;
    const digests = (await links.blobs(repository)).map(({ digest }) => digest);
    for (const manifest of await links.manifests(repository)) digests.push(manifest.digest, ...manifest.children);
    for (const digest of digests) {
      if (blobs.has(digest)) continue;
      const blob = await content.stat(digest);
      if (blob) blobs.set(digest, blob.size);
    }
  }
  for (const { digest, size } of coming.union(quota.coming)) blobs.set(digest, size);
  quota.blobs = blobs;
  quota.countedAt = Date.now();
}
