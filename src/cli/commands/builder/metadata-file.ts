import fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { canonicalName as canonical, parseReference, withDefaultTag } from '../../../oci/reference.ts';

export interface ResultDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** `--metadata-file`: what came of a build, under the names that buildx gives it; there at once, and whole. */
export function writeMetadata(
  path: string,
  result: {
    readonly id: string;
    readonly descriptor: ResultDescriptor | undefined;
    readonly names: readonly string[];
    readonly more?: Readonly<Record<string, unknown>>;
  },
): void {
  const { id, descriptor, names, more } = result;
  const metadata = {
    ...more,
    ...(id !== '' && { 'containerimage.config.digest': id }),
    ...(descriptor && { 'containerimage.descriptor': descriptor, 'containerimage.digest': descriptor.digest }),
    ...(names.length > 0 && { 'image.name': names.map(canonicalName).join(',') }),
  };
  const sorted = Object.fromEntries(Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1)));
  const aside = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  fs.writeFileSync(aside, `${JSON.stringify(sorted, null, 2)}\n`);
  fs.renameSync(aside, path);
}

/** `docker.io/library/app:latest` of `app`. */
function canonicalName(name: string): string {
  return canonical(withDefaultTag(parseReference(name)));
}
