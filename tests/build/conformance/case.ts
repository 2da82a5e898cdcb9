import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** A build whose result is compared. In Dockerfiles, `base` is a small image with a shell. */
export interface BuildCase {
  readonly dockerfile: string;
  readonly files?: Readonly<Record<string, ContextFile>>;
  readonly args?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly target?: string;
  /** Why we differ on purpose: then only that the build ends as `error` says is checked. */
  readonly difference?: { readonly why: string; readonly error?: string };
}

interface FileContent {
  readonly content?: string;
  readonly base64?: string;
  readonly mode?: number;
  readonly link?: string;
}

export type ContextFile = string | FileContent;

/** Files that every context has. */
const COMMON: Readonly<Record<string, ContextFile>> = {
  'a.txt': 'a\n',
  'b.txt': 'b\n',
  'run.sh': { content: '#!/bin/sh\necho hi\n', mode: 0o755 },
  'secret.key': { content: 'k\n', mode: 0o600 },
  'dir/one': '1\n',
  'dir/two.txt': '2\n',
  'dir/sub/three': '3\n',
  'dir/sub/deep/four.md': '4\n',
  'private/x': { content: 'x\n', mode: 0o640 },
  'link-file': { link: 'a.txt' },
  'link-dir': { link: 'dir' },
  'links/inner': { link: '../a.txt' },
  'links/absolute': { link: '/etc/passwd' },
  'links/dangling': { link: 'nowhere' },
  'with space.txt': 's\n',
  'ünïcode.txt': 'u\n',
  '[x].txt': 'bracket\n',
};

export const BASE = 'gantry-base:1';

/** Whether what it makes has the files of `base`: those are then not told of. */
export function standsOnBase({ dockerfile }: BuildCase): boolean {
  return /\bbase\b/.test(dockerfile) && !/^FROM scratch/im.test(dockerfile);
}

/** Writes the context of a case into an empty directory. */
export async function writeContext(directory: string, one: BuildCase): Promise<void> {
  const files = {
    ...COMMON,
    ...one.files,
    Dockerfile: one.dockerfile
      .replace(/^(FROM (?:--\S+ )?)base\b/gm, `$1${BASE}`)
      .replaceAll('from=base', `from=${BASE}`),
  };
  for (const [name, file] of Object.entries(files)) {
    const path = join(directory, name);
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    const given: FileContent = typeof file === 'string' ? { content: file } : file;
    if (given.link !== undefined) await symlink(given.link, path);
    else {
      await writeFile(path, given.base64 === undefined ? (given.content ?? '') : Buffer.from(given.base64, 'base64'));
      await chmod(path, given.mode ?? 0o644);
    }
  }
  await chmod(join(directory, 'private'), 0o750);
}
