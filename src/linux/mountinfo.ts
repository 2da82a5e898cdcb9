import { readFileSync } from 'node:fs';

/** One line of /proc/<pid>/mountinfo (proc(5)). */
export interface MountEntry {
  readonly id: number;
  readonly parentId: number;
  /** `major:minor` */
  readonly device: string;
  /** Of the filesystem, what is mounted. */
  readonly root: string;
  readonly mountPoint: string;
  readonly options: readonly string[];
  /** `shared:N`, `master:N`, `propagate_from:N`, `unbindable`. */
  readonly propagation: readonly string[];
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

export function readMounts(pid: number | 'self' = 'self'): readonly MountEntry[] {
  return parseMounts(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
}

export function parseMounts(text: string): readonly MountEntry[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map(parseMount);
}

/** The mount that `path` (absolute, without symlinks) is on: the last one mounted on its longest prefix. */
export function mountOf(mounts: readonly MountEntry[], path: string): MountEntry | undefined {
  let best: MountEntry | undefined;
  for (const mount of mounts) {
    if (!isBelow(path, mount.mountPoint)) continue;
    if (best === undefined || mount.mountPoint.length >= best.mountPoint.length) best = mount;
  }
  return best;
}

/** Whether `path` is `directory` or inside it. */
export function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith('/') ? directory : `${directory}/`);
}

function parseMount(line: string): MountEntry {
  const fields = line.split(' ');
  const separator = fields.indexOf('-', 6);
  return {
    id: Number(fields[0]),
    parentId: Number(fields[1]),
    device: fields[2] ?? '',
    root: unescape(fields[3] ?? ''),
    mountPoint: unescape(fields[4] ?? ''),
    options: (fields[5] ?? '').split(','),
    propagation: fields.slice(6, separator),
    type: fields[separator + 1] ?? '',
    source: unescape(fields[separator + 2] ?? ''),
    superOptions: (fields[separator + 3] ?? '').split(','),
  };
}

/** Space, tab, newline and backslash are written as three octal digits, byte by byte. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
