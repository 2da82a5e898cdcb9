import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { InstalledPackage, Inventory } from '../../../api/inventory.ts';
import { errorMessage } from '../../../base/errors.ts';
import { type AdvisorySource, type Finding, SEVERITIES, type Severity } from '../../../scan/advisories/finding.ts';
import { NpmAdvisoryService } from '../../../scan/advisories/npm-service.ts';
import { readDatabase } from '../../../scan/advisories/read-database.ts';
import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { bool, strings, string } from '../../flag.ts';
import { inventoryOfImage } from '../../image-inventory.ts';
import { formatRows } from '../../output/rows.ts';
import { ellipsis } from '../../output/width.ts';

/** Where advisories are looked for when none are named. */
const PLACES = [join(homedir(), '.gantry/advisories'), '/var/lib/gantry/advisories'];
const NOTHING_CHECKED = 2;

export const scan = command({
  usage: '[OPTIONS] [IMAGE]',
  description: `List known vulnerabilities in the packages of an image.

What is known comes from files that you have (--db): records of OSV (a directory, a file or an ecosystem's all.zip) or
the JSON of Debian's security tracker; and from the advisory service of an npm registry, when you name one. Without
--db, ~/.gantry/advisories and /var/lib/gantry/advisories are looked at. What no source covers is told.`,
  examples: `# Against the tracker of Debian, downloaded before
gantry scan --db debian.json nginx:1.23

# In CI: exit code 1 when something of high or critical severity has a fix
gantry scan --db osv/ --fail-on high --ignore-unfixed app:1.0

# Of a saved image, with the advisory service that npm audit asks
gantry scan --input app.tar --npm-registry "$(npm config get registry)"`,
  flags: {
    db: strings('Advisories: a file or a directory (repeatable)', { complete: 'file' }),
    'fail-on': string('Exit with 1 when a vulnerability of this severity or a higher one is found'),
    format: string('table, json, or a Go template for each finding', { initial: 'table' }),
    ignore: strings('Leave out a vulnerability, by its id or alias (repeatable)'),
    'ignore-unfixed': bool('Leave out what has no fixed version yet'),
    input: string('Read an archive made by "save" instead of an image of the engine', { short: 'i', complete: 'file' }),
    'npm-registry': string(
      'Also ask the advisory service of this npm registry: it is told names and versions of npm packages',
    ),
    platform: string('Platform of the image, as "os[/arch[/variant]]"'),
    severity: string('Show only this severity and higher ones', { initial: 'unknown' }),
  },
  args: { min: 0, max: 1 },
  complete: 'image',
  async run(cli, { flags, args }) {
    const least = severityIndex(flags.severity, '--severity');
    const failing = flags['fail-on'] === '' ? undefined : severityIndex(flags['fail-on'], '--fail-on');
    const image = await inventoryOfImage(cli, args[0], flags);
    const { inventory } = image;
    const sources = sourcesOf(inventory, { files: flags.db, npmRegistry: flags['npm-registry'] });
    const { findings, failed } = await findAll(sources, inventory.packages);
    const ignored = new Set(flags.ignore);
    const all = findings
      .filter(({ id, aliases }) => ![id, ...aliases].some((name) => ignored.has(name)))
      .filter(({ fixed }) => !flags['ignore-unfixed'] || fixed !== undefined);
    const shown = all.filter(({ severity }) => SEVERITIES.indexOf(severity) >= least);
    const working = sources.filter(({ name }) => !failed.has(name));
    const unchecked = inventory.packages.filter((found) => !working.some((source) => source.covers(found)));
    const notes = [...[...failed].map(([, words]) => words), ...inventory.notes];
    print(cli, flags.format, { image: image.name, id: image.id, inventory, findings: shown, unchecked, notes });
    if (failing === undefined) return 0;
    if (all.some(({ severity }) => SEVERITIES.indexOf(severity) >= failing)) return 1;
    return inventory.packages.length > 0 && unchecked.length === inventory.packages.length ? NOTHING_CHECKED : 0;
  },
});

function severityIndex(word: string, flag: string): number {
  const index = SEVERITIES.indexOf(word.toLowerCase() as Severity);
  if (index < 0) throw new CommandError(`${flag} ${JSON.stringify(word)}: use one of ${SEVERITIES.join(', ')}`);
  return index;
}

function sourcesOf(
  inventory: Inventory,
  { files, npmRegistry }: { files: readonly string[]; npmRegistry: string },
): AdvisorySource[] {
  const places = files.length > 0 ? files : PLACES.filter((place) => existsSync(place));
  return [
    ...places.map((place) => readDatabase(place, inventory.os)),
    ...(npmRegistry === '' ? [] : [new NpmAdvisoryService(npmRegistry)]),
  ];
}

/** Findings of all sources, each weakness of a package once; a source that does not answer takes nothing from the others. */
async function findAll(
  sources: readonly AdvisorySource[],
  packages: readonly InstalledPackage[],
): Promise<{ findings: Finding[]; failed: Map<string, string> }> {
  const found = new Map<string, Finding>();
  const failed = new Map<string, string>();
  for (const source of sources) {
    try {
      for (const finding of await source.find(packages)) {
        const { id, package: of } = finding;
        const key = [id, of.type, of.name, of.version, of.path].join(' ');
        const known = found.get(key);
        if (!known || rank(known) < rank(finding)) found.set(key, finding);
      }
    } catch (error) {
      failed.set(source.name, errorMessage(error));
    }
  }
  const findings = [...found.values()].sort(
    (a, b) =>
      rank(b) - rank(a) ||
      compare(a.package.name, b.package.name) ||
      compare(a.id, b.id) ||
      compare(a.package.path, b.package.path),
  );
  return { findings, failed };
}

function rank({ severity }: Finding): number {
  return SEVERITIES.indexOf(severity);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

interface Report {
  readonly image: string;
  readonly id: string;
  readonly inventory: Inventory;
  readonly findings: readonly Finding[];
  readonly unchecked: readonly InstalledPackage[];
  readonly notes: readonly string[];
}

function print(cli: Cli, format: string, report: Report): void {
  const { image, id, inventory, findings, unchecked, notes } = report;
  if (format === 'json') {
    const document = {
      image,
      id,
      os: inventory.os,
      packages: inventory.packages.length,
      findings,
      unchecked: counts(unchecked),
      notes,
    };
    cli.io.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    return;
  }
  if (findings.length > 0 || format !== 'table') {
    const title = cli.io.stdout.isTTY ? Math.max(20, cli.io.stdout.columns - 90) : 100;
    const rows = findings.map((finding) => ({
      ID: finding.id,
      Severity: finding.severity,
      Package: finding.package.name,
      Version: finding.package.version,
      Fixed: finding.fixed ?? '',
      Title: format === 'table' ? ellipsis(finding.title, title) : finding.title,
      Type: finding.package.type,
      Path: finding.package.path,
      Source: finding.source,
      Aliases: finding.aliases.join(','),
    }));
    const columns = ['ID', 'Severity', 'Package', 'Version', 'Fixed', 'Title'];
    cli.io.stdout.write(
      formatRows({ columns, headers: {}, typeName: 'scan' }, rows, { template: format, escape: cli.io.stdout.isTTY }),
    );
  }
  const told = (text: string): void => cli.warn(text);
  told(`\n${image}: ${inventory.os?.name ?? 'no distribution'}, ${words(counts(inventory.packages)) || 'no packages'}`);
  const by = SEVERITIES.toReversed().flatMap((severity) => {
    const count = findings.filter((finding) => finding.severity === severity).length;
    return count > 0 ? [`${count} ${severity}`] : [];
  });
  if (unchecked.length < inventory.packages.length || findings.length > 0) {
    told(findings.length > 0 ? `Found: ${by.join(', ')}` : 'Found: nothing in what was checked');
  }
  if (unchecked.length > 0) {
    told(
      `Not checked, for want of advisories: ${words(counts(unchecked))}. Give some with --db (see gantry scan --help).`,
    );
  }
  for (const note of notes) told(`Note: ${note}`);
}

function counts(packages: readonly InstalledPackage[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { type } of packages) found[type] = (found[type] ?? 0) + 1;
  return found;
}

function words(count: Readonly<Record<string, number>>): string {
  return Object.entries(count)
    .map(([type, number]) => `${number} ${type}`)
    .join(', ');
}
