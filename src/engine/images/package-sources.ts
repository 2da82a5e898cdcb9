import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../../base/errors.ts';

/** What to bootstrap: `debian:bookworm-slim` taken apart. */
export interface DistributionBase {
  readonly distribution: 'debian' | 'ubuntu';
  readonly suite: string;
  /** Without manuals, documentation and translations. */
  readonly slim: boolean;
}

const VERSIONS: Readonly<Record<string, string>> = {
  'debian:latest': 'stable',
  'debian:11': 'bullseye',
  'debian:12': 'bookworm',
  'debian:13': 'trixie',
  'ubuntu:20.04': 'focal',
  'ubuntu:22.04': 'jammy',
  'ubuntu:24.04': 'noble',
};

/** Throws `invalid-argument`. */
export function parseBase(base: string, suite?: string): DistributionBase {
  const match = /^(debian|ubuntu)(?::([a-z0-9][a-z0-9.]*?)(-slim)?)?$/.exec(base);
  if (!match) {
    throw new EngineError(
      'invalid-argument',
      `cannot bootstrap ${JSON.stringify(base.slice(0, 100))}: want debian:SUITE or ubuntu:SUITE, for example debian:bookworm-slim`,
    );
  }
  const distribution = match[1] as 'debian' | 'ubuntu';
  const version = match[2] ?? 'latest';
  const named = suite ?? VERSIONS[`${distribution}:${version}`] ?? version;
  if (named === 'latest' || !/^[a-z][a-z0-9-]*$/.test(named)) {
    throw new EngineError(
      'invalid-argument',
      `name a suite: ${distribution}:${distribution === 'debian' ? 'bookworm' : 'noble'}, or --suite`,
    );
  }
  return { distribution, suite: named, slim: match[3] !== undefined };
}

/** One repository of packages. */
export interface PackageSource {
  readonly uri: string;
  /** `bookworm`, `bookworm-updates`, … */
  readonly suite: string;
  readonly components: readonly string[];
  readonly signedBy: string | undefined;
}

export interface PackageHost {
  /** `/etc/apt` */
  readonly directory: string;
  /** `ID` and `VERSION_CODENAME` of os-release. */
  readonly distribution: string;
  readonly codename: string;
}

/**
 * Where the packages of a suite come from: this machine's own sources when they have it, or have its distribution's
 * suite of this machine instead; `mirror` goes before all. Throws `unavailable`.
 */
export async function sourcesFor(base: DistributionBase, host: PackageHost, mirror?: string): Promise<PackageSource[]> {
  const known = await readSources(host.directory);
  const own = known.filter((source) => suiteOf(source) === base.suite);
  const signedBy = own[0]?.signedBy ?? known.find((source) => suiteOf(source) === host.codename)?.signedBy;
  const components = own[0]?.components ?? ['main'];
  if (mirror !== undefined) return [{ uri: checkMirror(mirror), suite: base.suite, components, signedBy }];
  if (own.length > 0) return own;
  if (host.distribution === base.distribution) {
    const alike = known.filter((source) => suiteOf(source) === host.codename);
    if (alike.length > 0) {
      return alike.map((source) => ({ ...source, suite: source.suite.replace(host.codename, base.suite) }));
    }
  }
  throw new EngineError(
    'unavailable',
    `this machine's package sources have no ${base.distribution} ${base.suite}: name one with --mirror URL`,
  );
}

/** A line of sources.list. */
export function sourceLine({ uri, suite, components, signedBy }: PackageSource): string {
  return `deb ${signedBy ? `[signed-by=${signedBy}] ` : ''}${uri} ${suite} ${components.join(' ')}`;
}

function checkMirror(mirror: string): string {
  if (!/^(?:https?|file|copy):\/\/?[^\s[\]]+$/.test(mirror)) {
    throw new EngineError(
      'invalid-argument',
      `invalid mirror ${JSON.stringify(mirror)}: want http://, https:// or file://`,
    );
  }
  return mirror;
}

function suiteOf(source: PackageSource): string {
  return source.suite.replace(/(?:-updates|-security|\/updates)$/, '');
}

async function readSources(directory: string): Promise<PackageSource[]> {
  const parts = await readdir(join(directory, 'sources.list.d')).catch(() => []);
  const files = ['sources.list', ...parts.map((name) => join('sources.list.d', name)).sort((a, b) => (a < b ? -1 : 1))];
  const sources: PackageSource[] = [];
  for (const file of files) {
    const text = await readFile(join(directory, file), 'utf8').catch(() => '');
    if (file.endsWith('.sources')) sources.push(...parseStanzas(text));
    else if (file.endsWith('.list')) sources.push(...parseLines(text));
  }
  return sources;
}

/** sources.list(5), "one-line-style format" */
export function parseLines(text: string): PackageSource[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+[^\s#]+)+)/.exec(line);
    if (!match) return [];
    const signedBy = /(?:^|\s)signed-by=(\S+)/.exec(match[1] ?? '')?.[1];
    return [{ uri: match[2]!, suite: match[3]!, components: match[4]!.trim().split(/\s+/), signedBy }];
  });
}

/** sources.list(5), "deb822-style format" */
export function parseStanzas(text: string): PackageSource[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const fields = new Map<string, string>();
    for (const line of stanza.split('\n')) {
      const match = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
      if (match) fields.set(match[1]!.toLowerCase(), match[2]!.trim());
    }
    const words = (name: string): string[] => (fields.get(name) ?? '').split(/\s+/).filter((word) => word !== '');
    if (!words('types').includes('deb') || fields.get('enabled') === 'no') return [];
    const signedBy = words('signed-by').find((word) => word.startsWith('/'));
    return words('uris').flatMap((uri) =>
      words('suites').map((suite) => ({ uri, suite, components: words('components'), signedBy })),
    );
  });
}
