import { repositoryPattern } from './access-rules.ts';
import type { ManifestRecord } from './repository-links.ts';
import type { Repositories } from './repositories.ts';
import type { RetentionRule } from './settings.ts';

const DAY_MS = 24 * 3600_000;

/** What retention does away with: a tag, or a manifest that nothing names. */
export interface Expired {
  readonly repository: string;
  readonly tag?: string;
  readonly manifest?: string;
  readonly why: string;
}

/** Finds what the rules let go. The first rule that a repository fits is its rule. */
export class Retention {
  readonly #rules: readonly {
    readonly rule: RetentionRule;
    readonly patterns: readonly RegExp[];
    readonly keep: readonly RegExp[];
  }[];

  constructor(rules: readonly RetentionRule[]) {
    this.#rules = rules.map((rule) => ({
      rule,
      patterns: rule.repositories.map(repositoryPattern),
      keep: (rule.keepTags ?? []).map(repositoryPattern),
    }));
  }

  /** Deletes what has expired, unless it is only to be told. Blobs go with the next collection. */
  async apply(repositories: Repositories, options: { dryRun: boolean; now?: number }): Promise<Expired[]> {
    const { links, immutable } = repositories;
    const now = options.now ?? Date.now();
    const expired: Expired[] = [];
    for (const repository of await links.repositories()) {
      const found = this.#rules.find(({ patterns }) => patterns.some((pattern) => pattern.test(repository)));
      if (!found) continue;
      const tags = (await links.tagTimes(repository)).toSorted((a, b) => b.setAt.getTime() - a.setAt.getTime());
      const kept = new Set<string>();
      for (const [position, { tag, digest, setAt, readAt }] of tags.entries()) {
        const why = expiry(found.rule, { position, setAt, readAt, now });
        const stays =
          why === undefined || found.keep.some((pattern) => pattern.test(tag)) || immutable?.has(repository, tag);
        if (stays) {
          kept.add(digest);
          continue;
        }
        // One that was moved meanwhile stays, and is not told.
        if (options.dryRun || (await repositories.expireTag(repository, tag, digest)))
          expired.push({ repository, tag, why });
      }
      const days = found.rule.deleteUntaggedAfterDays;
      if (days === undefined) continue;
      for (const manifest of await unnamed(repositories, repository, kept)) {
        const putAt = await links.manifestTime(repository, manifest.digest);
        if (!putAt || putAt.getTime() > now - days * DAY_MS) continue;
        if (options.dryRun || (await repositories.expireManifest(repository, manifest.digest)))
          expired.push({ repository, manifest: manifest.digest, why: `no tag, and older than ${days} days` });
      }
    }
    return expired;
  }
}

/** Why a tag has expired; undefined while one of the rule's reasons to keep it holds, or it has none. */
function expiry(
  { keepLast, keepDays, keepPulledDays }: RetentionRule,
  { position, setAt, readAt, now }: { position: number; setAt: Date; readAt: Date; now: number },
): string | undefined {
  const reasons: string[] = [];
  if (keepLast !== undefined) {
    if (position < keepLast) return undefined;
    reasons.push(`not among the newest ${keepLast}`);
  }
  if (keepDays !== undefined) {
    if (setAt.getTime() > now - keepDays * DAY_MS) return undefined;
    reasons.push(`pushed more than ${keepDays} days ago`);
  }
  if (keepPulledDays !== undefined) {
    if (readAt.getTime() > now - keepPulledDays * DAY_MS) return undefined;
    reasons.push(`not pulled for ${keepPulledDays} days`);
  }
  return reasons.length === 0 ? undefined : reasons.join(', ');
}

/** Manifests that no tag, no index that stays and no subject that stays leads to. */
async function unnamed(
  { links }: Repositories,
  repository: string,
  tagged: ReadonlySet<string>,
): Promise<ManifestRecord[]> {
  const all = await links.manifests(repository);
  const named = new Set(tagged);
  for (let before = -1; before !== named.size;) {
    before = named.size;
    for (const { digest, children, subject } of all) {
      if (named.has(digest)) for (const child of children) named.add(child);
      if (subject !== undefined && named.has(subject)) named.add(digest);
    }
  }
  return all.filter(({ digest }) => !named.has(digest));
}
