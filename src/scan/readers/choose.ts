import { apkReader } from './apk.ts';
import { dpkgReader } from './dpkg.ts';
import { goReader } from './go.ts';
import { jarReader } from './jar.ts';
import { npmReader } from './npm.ts';
import { pypiReader } from './pypi.ts';
import type { Reader } from './reader.ts';
import { rpmNdbReader, rpmSqliteReader } from './rpm.ts';

const BY_PATH: readonly (readonly [RegExp, Reader])[] = [
  [/^var\/lib\/dpkg\/status$/, dpkgReader],
  [/^var\/lib\/dpkg\/status\.d\/[^/]+(?<!\.md5sums)$/, dpkgReader],
  [/^(usr\/)?lib\/apk\/db\/installed$/, apkReader],
  [/^(var\/lib|usr\/share|usr\/lib\/sysimage)\/rpm\/rpmdb\.sqlite$/, rpmSqliteReader],
  [/^(var\/lib|usr\/share|usr\/lib\/sysimage)\/rpm\/Packages\.db$/, rpmNdbReader],
  [/(^|\/)node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/, npmReader],
  [/\.dist-info\/METADATA$/, pypiReader],
  [/\.egg-info(\/PKG-INFO)?$/, pypiReader],
  [/\.[jwe]ar$/i, jarReader],
];

/** Smaller programs of Go do not exist. Bytes. */
const SMALLEST_PROGRAM = 256 << 10;

export interface FileFacts {
  readonly size: number;
  readonly executable: boolean;
}

/** Who reads the file at `path` (relative to the root of the image); undefined when nobody does. */
export function readerOf(path: string, { size, executable }: FileFacts): Reader | undefined {
  const known = BY_PATH.find(([pattern]) => pattern.test(path));
  if (known) return known[1];
  return executable && size >= SMALLEST_PROGRAM ? goReader : undefined;
}
