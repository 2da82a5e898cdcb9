import type { InstalledPackage, OperatingSystem, PackageType } from '../../api/inventory.ts';
import { compareVersions } from '../versions/compare.ts';
import { cvssScore, severityOfScore } from './cvss.ts';
import { type AdvisorySource, type Finding, type Severity, severityOf } from './finding.ts';

/** https://ossf.github.io/osv-schema, as far as it is read here. */
export interface OsvRecord {
  readonly id: string;
  readonly aliases?: readonly string[];
  readonly upstream?: readonly string[];
  readonly summary?: string;
  readonly details?: string;
  readonly withdrawn?: string;
  readonly severity?: readonly { readonly type: string; readonly score: string }[];
  readonly database_specific?: { readonly severity?: unknown };
  readonly affected?: readonly OsvAffected[];
}

interface OsvAffected {
  readonly package?: { readonly ecosystem: string; readonly name: string };
  readonly versions?: readonly string[];
  readonly ranges?: readonly { readonly type: string; readonly events: readonly Record<string, string>[] }[];
  readonly severity?: readonly { readonly type: string; readonly score: string }[];
  readonly ecosystem_specific?: { readonly severity?: unknown; readonly urgency?: unknown };
}

const LANGUAGES: Readonly<Partial<Record<PackageType, string>>> = {
  npm: 'npm',
  pypi: 'PyPI',
  golang: 'Go',
  maven: 'Maven',
};

/** Records of OSV by ecosystem and name of package. */
export class OsvDatabase implements AdvisorySource {
  readonly name = 'OSV';
  readonly #os: OperatingSystem | undefined;
  readonly #byName = new Map<string, { record: OsvRecord; affected: OsvAffected }[]>();
  readonly #ecosystems = new Set<string>();

  constructor(records: Iterable<OsvRecord>, os: OperatingSystem | undefined) {
    this.#os = os;
    for (const record of records) {
      if (record.withdrawn !== undefined || typeof record.id !== 'string') continue;
      for (const affected of record.affected ?? []) {
        const { ecosystem, name } = affected.package ?? {};
        if (ecosystem === undefined || name === undefined) continue;
        this.#ecosystems.add(ecosystem);
        const key = keyOf(ecosystem, name);
        const list = this.#byName.get(key);
        if (list) list.push({ record, affected });
        else this.#byName.set(key, [{ record, affected }]);
      }
    }
  }

  covers(found: InstalledPackage): boolean {
    return ecosystemsOf(found, this.#os).some((ecosystem) => this.#ecosystems.has(ecosystem));
  }

  async find(packages: readonly InstalledPackage[]): Promise<Finding[]> {
    const findings = new Map<string, Finding>();
    for (const found of packages) {
      const system = LANGUAGES[found.type] === undefined;
      const { name, version } = system ? (found.source ?? found) : found;
      for (const ecosystem of ecosystemsOf(found, this.#os)) {
        for (const { record, affected } of this.#byName.get(keyOf(ecosystem, name)) ?? []) {
          const hit = affects(found.type, version, affected);
          if (!hit) continue;
          const finding = findingOf(record, affected, { found, ...hit });
          findings.set(`${finding.id} ${found.type} ${found.name} ${found.version} ${found.path}`, finding);
        }
      }
    }
    return [...findings.values()];
  }
}

function keyOf(ecosystem: string, name: string): string {
  return `${ecosystem}\0${ecosystem === 'PyPI' ? name.toLowerCase().replace(/[-_.]+/g, '-') : name}`;
}

/** The names under which OSV files the package: of a distribution with its release, and without it. */
function ecosystemsOf(found: InstalledPackage, os: OperatingSystem | undefined): string[] {
  const language = LANGUAGES[found.type];
  if (language !== undefined) return [language];
  if (!os) return [];
  const [major = '', minor = ''] = os.version.split('.');
  const names: Readonly<Record<string, readonly string[]>> = {
    debian: [`Debian:${major}`],
    ubuntu: [`Ubuntu:${os.version}`, `Ubuntu:${os.version}:LTS`],
    alpine: [`Alpine:v${major}.${minor}`],
    rocky: [`Rocky Linux:${major}`],
    almalinux: [`AlmaLinux:${major}`],
    rhel: [`Red Hat:enterprise_linux:${major}::baseos`, `Red Hat:enterprise_linux:${major}::appstream`],
    'opensuse-leap': [`openSUSE:Leap ${os.version}`],
    sles: [`SUSE:Linux Enterprise Server ${os.version}`],
    wolfi: ['Wolfi'],
    chainguard: ['Chainguard'],
  };
  return [...(names[os.id] ?? [])];
}

/** Whether the version is affected, and the first that is not. */
function affects(type: PackageType, version: string, affected: OsvAffected): { fixed?: string } | undefined {
  for (const { type: kind, events } of affected.ranges ?? []) {
    if (kind === 'GIT') continue;
    let introduced: string | undefined;
    let inside = false;
    let fixed: string | undefined;
    const sorted = [...events].sort((a, b) => {
      const [left, right] = [bound(a), bound(b)];
      if (left === '0' || right === '0') return left === right ? 0 : left === '0' ? -1 : 1;
      return compareVersions(type, left, right);
    });
    for (const event of sorted) {
      if (event['introduced'] !== undefined) {
        introduced = event['introduced'];
        if (introduced === '0' || compareVersions(type, version, introduced) >= 0) {
          inside = true;
          fixed = undefined;
        }
      } else if (event['fixed'] !== undefined) {
        if (inside && fixed === undefined) fixed = event['fixed'];
        if (compareVersions(type, version, event['fixed']) >= 0) inside = false;
      } else if (event['last_affected'] !== undefined && compareVersions(type, version, event['last_affected']) > 0) {
        inside = false;
      }
    }
    if (inside) return fixed === undefined ? {} : { fixed };
  }
  return affected.versions?.includes(version) ? {} : undefined;
}

function bound(event: Record<string, string>): string {
  return event['introduced'] ?? event['fixed'] ?? event['last_affected'] ?? event['limit'] ?? '0';
}

function findingOf(
  record: OsvRecord,
  affected: OsvAffected,
  { found, fixed }: { found: InstalledPackage; fixed?: string },
): Finding {
  const names = [record.id, ...(record.aliases ?? []), ...(record.upstream ?? [])];
  const id = names.find((name) => name.startsWith('CVE-')) ?? record.id;
  return {
    id,
    aliases: [...new Set(names)].filter((name) => name !== id),
    package: found,
    severity: severity(record, affected),
    title: record.summary ?? record.details?.split('\n', 1)[0]?.slice(0, 200) ?? '',
    ...(fixed !== undefined && { fixed }),
    source: 'OSV',
  };
}

function severity(record: OsvRecord, affected: OsvAffected): Severity {
  for (const { score } of [...(affected.severity ?? []), ...(record.severity ?? [])]) {
    const value = cvssScore(score);
    if (value !== undefined) return severityOfScore(value);
  }
  const said = affected.ecosystem_specific?.severity ?? affected.ecosystem_specific?.urgency;
  return severityOf(record.database_specific?.severity ?? said);
}
