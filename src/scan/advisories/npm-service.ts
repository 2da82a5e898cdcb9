import type { InstalledPackage } from '../../api/inventory.ts';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { inNpmRange } from '../versions/semver.ts';
import { type AdvisorySource, type Finding, severityOf } from './finding.ts';

interface Advisory {
  readonly id?: number;
  readonly url?: string;
  readonly title?: string;
  readonly severity?: string;
  readonly vulnerable_versions?: string;
  readonly github_advisory_id?: string;
}

const PATH = '/-/npm/v1/security/advisories/bulk';
const LARGEST_ANSWER = 64 << 20;

/** The bulk advisory service of an npm registry, as `npm audit` asks it: names and versions of packages go to that host. */
export class NpmAdvisoryService implements AdvisorySource {
  readonly name = "npm's advisory service";
  readonly #registry: string;

  /** @param registry `https://…` of the registry */
  constructor(registry: string) {
    this.#registry = registry.replace(/\/+$/, '');
  }

  covers(found: InstalledPackage): boolean {
    return found.type === 'npm';
  }

  /** Throws `unavailable` when the service does not answer as it should. */
  async find(packages: readonly InstalledPackage[]): Promise<Finding[]> {
    const own = packages.filter((found) => this.covers(found));
    if (own.length === 0) return [];
    const versions: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
    for (const { name, version } of own) (versions[name] ??= []).push(version);
    const advisories = await this.#ask(versions);
    return own.flatMap((found) =>
      (Object.hasOwn(advisories, found.name) ? advisories[found.name]! : [])
        .filter(({ vulnerable_versions: range }) => range !== undefined && inNpmRange(found.version, range))
        .map((advisory) => findingOf(advisory, found, this.name)),
    );
  }

  async #ask(versions: Record<string, string[]>): Promise<Record<string, Advisory[]>> {
    try {
      const response = await fetch(`${this.#registry}${PATH}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(versions),
        signal: AbortSignal.timeout(30_000),
        redirect: 'error',
      });
      if (!response.ok) throw new Error(`answered ${response.status}`);
      if (Number(response.headers.get('content-length') ?? 0) > LARGEST_ANSWER) throw new Error('answered too much');
      return (await response.json()) as Record<string, Advisory[]>;
    } catch (error) {
      throw new EngineError('unavailable', `npm's advisory service at ${this.#registry}: ${errorMessage(error)}`);
    }
  }
}

function findingOf(advisory: Advisory, found: InstalledPackage, source: string): Finding {
  const { url, title, severity, vulnerable_versions: range } = advisory;
  const id = advisory.github_advisory_id ?? /GHSA-[\w-]+/.exec(url ?? '')?.[0] ?? `npm-${advisory.id ?? 'unknown'}`;
  const fixed = /<\s*(\d[^\s|]*)\s*$/.exec(range ?? '')?.[1];
  return {
    id,
    aliases: [],
    package: found,
    severity: severityOf(severity),
    title: title ?? '',
    ...(fixed !== undefined && { fixed }),
    source,
  };
}
