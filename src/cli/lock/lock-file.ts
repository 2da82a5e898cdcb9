import fs from 'node:fs';
import { isDigest } from '../../oci/digest.ts';
import { parseReference, withDefaultTag } from '../../oci/reference.ts';
import { CommandError } from '../command.ts';
import { familiarName } from '../pull-image.ts';

/** Digests by the name with its tag, as it is written: `node:20-alpine`. */
export type Pins = ReadonlyMap<string, string>;

/** The key of a name in a lock; undefined for a name that has a digest already. Throws for what is no name. */
export function lockKey(name: string): string | undefined {
  const reference = withDefaultTag(parseReference(name));
  return reference.digest === undefined ? familiarName(reference) : undefined;
}

/** `Dockerfile` → `Dockerfile.lock`, `compose.yaml` → `compose.lock`. */
export function lockPathFor(file: string): string {
  return `${file.replace(/\.ya?ml$/, '')}.lock`;
}

/** Undefined when there is none. Throws a CommandError for one that is none. */
export function readLock(path: string): Pins | undefined {
  let text: string;
  try {
    text = fs.readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CommandError(`cannot read ${path}: ${(error as Error).message}`, 1, { cause: error });
  }
  try {
    const { lockVersion, images } = JSON.parse(text) as { lockVersion?: unknown; images?: unknown };
    if (lockVersion !== 1) throw new Error(`lock version ${JSON.stringify(lockVersion)} is not known`);
    if (typeof images !== 'object' || images === null) throw new Error('it has no images');
    for (const [name, digest] of Object.entries(images))
      if (typeof digest !== 'string' || !isDigest(digest)) throw new Error(`${name} has no valid digest`);
    return new Map(Object.entries(images as Record<string, string>));
  } catch (error) {
    throw new CommandError(`${path} is no lock file: ${(error as Error).message}`, 1, { cause: error });
  }
}

/** Sorted, so that a diff shows what changed and nothing else. */
export function writeLock(path: string, pins: Pins): void {
  const images = Object.fromEntries([...pins].sort(([a], [b]) => (a < b ? -1 : 1)));
  const aside = `${path}.${process.pid}.tmp`;
  fs.writeFileSync(aside, `${JSON.stringify({ lockVersion: 1, images }, null, 2)}\n`);
  fs.renameSync(aside, path);
}

/** The lock that `--locked` asks for. Throws a CommandError when there is none. */
export function neededLock(path: string): Pins {
  const pins = readLock(path);
  if (!pins) throw new CommandError(`there is no lock ${path}: \`gantry lock\` writes it`);
  return pins;
}

/** The name with the digest of its lock. Throws a CommandError when it is not there. */
export function pinnedName(name: string, pins: Pins, path: string): string {
  const key = lockKey(name);
  if (key === undefined) return name;
  const digest = pins.get(key);
  if (digest === undefined)
    throw new CommandError(`${key} is not in ${path}: run \`gantry lock\` and look at what it adds`);
  return `${key}@${digest}`;
}
