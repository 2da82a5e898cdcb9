import type { InstalledPackage, OperatingSystem } from '../../api/inventory.ts';
import { compareDeb } from '../versions/deb.ts';
import { type AdvisorySource, type Finding, severityOf } from './finding.ts';

/** The JSON of Debian's security tracker: source package, then CVE, then release. */
export type TrackerDocument = Readonly<
  Record<string, Readonly<Record<string, { readonly description?: string; readonly releases?: TrackerReleases }>>>
>;

type TrackerReleases = Readonly<
  Record<string, { readonly status: string; readonly fixed_version?: string; readonly urgency?: string }>
>;

const CODENAMES: Readonly<Record<string, string>> = { 11: 'bullseye', 12: 'bookworm', 13: 'trixie', 14: 'forky' };

export class DebianTracker implements AdvisorySource {
  readonly name = "Debian's security tracker";
  readonly #document: TrackerDocument;
  readonly #release: string | undefined;

  constructor(document: TrackerDocument, os: OperatingSystem | undefined) {
    this.#document = document;
    this.#release = os?.id === 'debian' ? (os.codename ?? CODENAMES[os.version.split('.')[0]!]) : undefined;
  }

  covers(found: InstalledPackage): boolean {
    return found.type === 'deb' && this.#release !== undefined;
  }

  async find(packages: readonly InstalledPackage[]): Promise<Finding[]> {
    return packages.filter((found) => this.covers(found)).flatMap((found) => this.#of(found));
  }

  #of(found: InstalledPackage): Finding[] {
    const { name, version } = found.source ?? found;
    const known = Object.hasOwn(this.#document, name) ? this.#document[name]! : {};
    return Object.entries(known).flatMap(([id, { description, releases }]) => {
      const state = releases?.[this.#release!];
      if (!state || state.status === 'undetermined') return [];
      const { fixed_version: fixed, urgency } = state;
      // `0`: the package was never vulnerable in this release
      if (state.status === 'resolved' && (fixed === undefined || fixed === '0' || compareDeb(version, fixed) >= 0))
        return [];
      return [
        {
          id,
          aliases: [],
          package: found,
          severity: severityOf(urgency),
          title: description?.split('\n', 1)[0]?.slice(0, 200) ?? '',
          ...(state.status === 'resolved' && { fixed: fixed! }),
          source: this.name,
        },
      ];
    });
  }
}
