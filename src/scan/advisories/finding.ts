import type { InstalledPackage } from '../../api/inventory.ts';

export const SEVERITIES = ['unknown', 'negligible', 'low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** A known weakness in an installed package. */
export interface Finding {
  /** CVE where there is one, otherwise the database's own number. */
  readonly id: string;
  readonly aliases: readonly string[];
  readonly package: InstalledPackage;
  readonly severity: Severity;
  readonly title: string;
  /** First version without it; undefined while there is none. */
  readonly fixed?: string;
  /** Where it was found: the name of the database. */
  readonly source: string;
}

/** Something that knows weaknesses of packages. */
export interface AdvisorySource {
  readonly name: string;
  find(packages: readonly InstalledPackage[]): Promise<readonly Finding[]>;
  /** Whether it knows anything about packages of this kind: what no source covers is told, not passed over. */
  covers(found: InstalledPackage): boolean;
}

export function severityOf(word: unknown): Severity {
  const lower = typeof word === 'string' ? word.toLowerCase() : '';
  if (lower === 'moderate') return 'medium';
  if (lower === 'important') return 'high';
  if (lower === 'unimportant' || lower === 'none') return 'negligible';
  return SEVERITIES.find((severity) => severity === lower) ?? 'unknown';
}
