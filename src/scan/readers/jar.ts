import { basename } from 'node:path';
import type { InstalledPackage } from '../../api/inventory.ts';
import { type ZipEntry, zipEntries } from '../zip.ts';
import { MEBIBYTE, type Reader, textOf } from './reader.ts';

const DEEPEST = 3;

/** `.jar`, `.war`, `.ear`: Maven's own properties inside, otherwise the manifest, otherwise the name; jars inside jars too. */
export const jarReader: Reader = {
  limit: 512 * MEBIBYTE,
  magic: Buffer.from('PK'),
  read: (bytes, path) => packagesOf(bytes, path, 1),
};

function packagesOf(bytes: Uint8Array, path: string, depth: number): InstalledPackage[] {
  const entries = zipEntries(bytes);
  const properties = entries.filter(({ name }) => /^META-INF\/maven\/.*\/pom\.properties$/.test(name));
  const own = properties.flatMap((entry) => fromProperties(entry, path));
  const inner = entries.filter(({ name }) => depth < DEEPEST && /\.[jwe]ar$/i.test(name));
  return [
    ...(own.length > 0 ? own : fromManifest(entries, path)),
    ...inner.flatMap((entry) => packagesOf(entry.read(256 * MEBIBYTE), `${path}!/${entry.name}`, depth + 1)),
  ];
}

function fromProperties(entry: ZipEntry, path: string): InstalledPackage[] {
  const lines = textOf(entry.read(MEBIBYTE)).split(/\r?\n/);
  const value = (key: string): string | undefined =>
    lines
      .find((line) => line.startsWith(`${key}=`))
      ?.slice(key.length + 1)
      .trim();
  return artifact(value('groupId'), value('artifactId'), value('version'), path);
}

function fromManifest(entries: readonly ZipEntry[], path: string): InstalledPackage[] {
  const manifest = entries.find(({ name }) => name === 'META-INF/MANIFEST.MF');
  const text = textOf(manifest?.read(MEBIBYTE) ?? new Uint8Array()).replace(/\r?\n /g, '');
  const value = (key: string): string | undefined => new RegExp(`^${key}:(.+)$`, 'm').exec(text)?.[1]?.trim();
  // a name in an archive may have 64 KiB, for which the expression would take its square
  const named = /^(.+?)-(\d[\w.+-]*)\.[jwe]ar$/i.exec(basename(path).slice(-255));
  const name = named?.[1] ?? value('Implementation-Title') ?? value('Bundle-SymbolicName')?.split(';')[0];
  const version = value('Implementation-Version') ?? named?.[2] ?? value('Bundle-Version');
  return artifact(value('Implementation-Vendor-Id') ?? name, name, version, path);
}

function artifact(
  group: string | undefined,
  name: string | undefined,
  version: string | undefined,
  path: string,
): InstalledPackage[] {
  if (!group || !name || !version) return [];
  return [{ type: 'maven', name: `${group}:${name}`, version, path }];
}
