import { textOf } from './readers/reader.ts';
import { readerOf } from './readers/choose.ts';
import { BERKELEY_NAMES } from './readers/rpm.ts';
import type { InstalledPackage, Inventory, OperatingSystem } from '../api/inventory.ts';

const OS_RELEASE = ['etc/os-release', 'usr/lib/os-release'];
const MOST_NOTES = 50;

export interface ScannedFile {
  /** Relative to the root of the image, `/` between names. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly executable: boolean;
  /** The first bytes, at most `length`. */
  peek(length: number): Uint8Array;
  content(): Uint8Array;
}

/**
 * Gathers packages from the layers of an image, lowest first: a file replaces the one of its name below, and a whiteout
 * takes away what was there. What is asked of each file is little: most are never opened.
 */
export class Collector {
  readonly #found = new Map<string, readonly InstalledPackage[]>();
  readonly #osReleases = new Map<string, string>();
  readonly #notes = new Map<string, string>();
  /** Every directory above something found. */
  readonly #above = new Set<string>();

  /** Whether `add` looks into the file; one that it does not look into still replaces what it covers. */
  wants(path: string, facts: { readonly size: number; readonly executable: boolean }): boolean {
    return OS_RELEASE.includes(path) || BERKELEY_NAMES.includes(path) || readerOf(path, facts) !== undefined;
  }

  add(file: ScannedFile): void {
    const { path, size } = file;
    this.remove(path);
    if (!this.wants(path, file)) return;
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) this.#above.add(path.slice(0, at));
    if (OS_RELEASE.includes(path) && size < 65536) this.#osReleases.set(path, textOf(file.content()));
    if (BERKELEY_NAMES.includes(path))
      this.#notes.set(path, `/${path}: packages in the Berkeley DB of old rpm are not read`);
    const reader = readerOf(path, file);
    if (!reader) return;
    const { magic, limit } = reader;
    if (magic && !Buffer.from(file.peek(magic.length)).equals(magic)) return;
    if (size > limit) {
      this.#notes.set(path, `/${path}: not read, larger than ${limit >> 20} MiB`);
      return;
    }
    const packages = reader.read(file.content(), `/${path}`);
    if (packages.length > 0) this.#found.set(path, packages);
  }

  /** What is at `path` is no longer there, nor what was below it. */
  remove(path: string): void {
    this.#forget(path);
    if (this.#above.has(path)) this.removeBelow(path);
  }

  /** An opaque directory: nothing of the lower layers is seen in it. */
  removeBelow(path: string): void {
    const prefix = path === '' ? '' : `${path}/`;
    for (const map of [this.#found, this.#osReleases, this.#notes]) {
      for (const known of map.keys()) if (known.startsWith(prefix)) map.delete(known);
    }
  }

  finish(): Inventory {
    const os = OS_RELEASE.flatMap((path) => parseOsRelease(this.#osReleases.get(path)))[0];
    const notes = [...this.#notes.values()].sort();
    const packages = [...this.#found.values()].flat().sort(byName);
    return {
      ...(os && { os }),
      packages,
      notes:
        notes.length > MOST_NOTES ? [...notes.slice(0, MOST_NOTES), `and ${notes.length - MOST_NOTES} more`] : notes,
    };
  }

  #forget(path: string): void {
    this.#found.delete(path);
    this.#osReleases.delete(path);
    this.#notes.delete(path);
  }
}

function byName(a: InstalledPackage, b: InstalledPackage): number {
  for (const key of ['type', 'name', 'version', 'path'] as const) {
    if (a[key] !== b[key]) return a[key] < b[key] ? -1 : 1;
  }
  return 0;
}

function parseOsRelease(text: string | undefined): OperatingSystem[] {
  if (text === undefined) return [];
  const value = (key: string): string | undefined =>
    new RegExp(`^${key}=["']?([^"'\\n]*)`, 'm').exec(text)?.[1]?.trim() || undefined;
  const id = value('ID');
  if (id === undefined) return [];
  const codename = value('VERSION_CODENAME');
  return [
    {
      id,
      version: value('VERSION_ID') ?? '',
      name: value('PRETTY_NAME') ?? id,
      ...(codename !== undefined && { codename }),
    },
  ];
}
