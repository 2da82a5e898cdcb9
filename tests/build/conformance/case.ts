import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { byteString } from '../../../src/base/byte-string.ts';
import { tarHeader } from '../../../src/content/tar/header.ts';
import { type TarSource, writeTar } from '../../../src/content/tar/writer.ts';

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
  for (const [name, file] of Object.entries(contextFiles(one))) {
    const path = join(directory, name);
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    if (file.link !== undefined) await symlink(file.link, path);
    else {
      await writeFile(path, contentOf(file));
      await chmod(path, file.mode ?? 0o644);
    }
  }
  await chmod(join(directory, 'private'), 0o750);
}

/** The same context as a tar, as a client with an account of its own sends it. */
export async function contextArchive(one: BuildCase): Promise<Buffer> {
  const owner = { uid: 7, gid: 8 };
  const entries = new Map<string, TarSource>();
  const directory = (path: string): void => {
    if (path === '.' || entries.has(path)) return;
    directory(dirname(path));
    const mode = path === 'private' ? 0o750 : 0o755;
    entries.set(path, { header: tarHeader({ type: 'directory', name: byteString(`${path}/`), mode, ...owner }) });
  };
  for (const [path, file] of Object.entries(contextFiles(one))) {
    directory(dirname(path));
    const name = byteString(path);
    const body = contentOf(file);
    const header =
      file.link === undefined
        ? tarHeader({ type: 'file', name, size: body.byteLength, mode: file.mode ?? 0o644, ...owner })
        : tarHeader({ type: 'symlink', name, linkName: byteString(file.link), ...owner });
    entries.set(path, { header, body: [body] });
  }
  return Buffer.concat(await Array.fromAsync(writeTar(entries.values())));
}

function contextFiles(one: BuildCase): Record<string, FileContent> {
  const dockerfile = one.dockerfile
    .replace(/^(FROM (?:--\S+ )?)base\b/gm, `$1${BASE}`)
    .replaceAll('from=base', `from=${BASE}`);
  const files = { ...COMMON, ...one.files, Dockerfile: dockerfile };
  return Object.fromEntries(
    Object.entries(files).map(([name, file]) => [name, typeof file === 'string' ? { content: file } : file]),
  );
}

function contentOf({ content, base64 }: FileContent): Buffer {
  return base64 === undefined ? Buffer.from(content ?? '') : Buffer.from(base64, 'base64');
}
