import type { BigIntStats } from 'node:fs';
import { lstat, lutimes, opendir, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Files and directories' contents that differ from one installation of the same packages to the next, or say where it was made. */
const VOLATILE_FILES = [
  'etc/.pwd.lock',
  'etc/hostname',
  'etc/resolv.conf',
  'etc/group-',
  'etc/gshadow-',
  'etc/passwd-',
  'etc/shadow-',
  'etc/subgid-',
  'etc/subuid-',
  'var/cache/ldconfig/aux-cache',
  'var/cache/debconf/config.dat-old',
  'var/cache/debconf/templates.dat-old',
  'var/lib/dpkg/available',
  'var/lib/dpkg/diversions-old',
  'var/lib/dpkg/lock',
  'var/lib/dpkg/lock-frontend',
  'var/lib/dpkg/status-old',
  'var/lib/dpkg/triggers/Lock',
  'var/lib/systemd/catalog/database',
  'var/lib/systemd/random-seed',
];
const VOLATILE_CONTENTS = ['dev', 'proc', 'run', 'sys', 'tmp', 'var/tmp', 'var/cache/apt', 'var/lib/apt/lists'];
/** Logs: emptied where a program expects the file, removed otherwise. */
const LOGS = 'var/log';
const KEPT_LOGS = new Set(['btmp', 'wtmp', 'faillog', 'lastlog']);

/** Seconds since the epoch at which the newest of the installed packages was made: dpkg keeps the times of its control files. */
export async function newestPackageTime(root: string): Promise<number> {
  const info = join(root, 'var/lib/dpkg/info');
  let newest = 0;
  for (const name of await readdir(info)) {
    if (name.endsWith('.md5sums')) newest = Math.max(newest, Math.floor((await stat(join(info, name))).mtimeMs / 1000));
  }
  return newest;
}

/** Removes what is not the packages' own, and takes every later time back to `time` (seconds since the epoch). */
export async function normalizeTree(root: string, time: number, signal?: AbortSignal): Promise<void> {
  for (const path of VOLATILE_FILES) await removeInside(root, path);
  for (const path of VOLATILE_CONTENTS) await emptyInside(root, path);
  await emptyLogs(root);
  // An empty file is what systemd takes for "not yet".
  if (await inside(root, 'etc/machine-id')) await writeFile(join(root, 'etc/machine-id'), '');
  await removeInside(root, 'var/lib/dbus/machine-id');
  await resetPasswordDates(root, time);
  await clampTimes(root, BigInt(time), signal);
}

/** The date of the last password change is the day of the installation. */
async function resetPasswordDates(root: string, time: number): Promise<void> {
  if (!(await inside(root, 'etc/shadow'))) return;
  const path = join(root, 'etc/shadow');
  const day = String(Math.floor(time / 86_400));
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace(/^([^:\n]*:[^:\n]*:)\d+:/gm, `$1${day}:`));
}

async function emptyLogs(root: string): Promise<void> {
  if (!(await inside(root, LOGS))) return;
  for (const entry of await readdir(join(root, LOGS), { withFileTypes: true })) {
    const path = join(root, LOGS, entry.name);
    if (entry.isDirectory()) await emptyInside(root, join(LOGS, entry.name));
    else if (KEPT_LOGS.has(entry.name) && entry.isFile()) await writeFile(path, '');
    else await rm(path);
  }
}

async function removeInside(root: string, path: string): Promise<void> {
  if (await inside(root, join(path, '..'))) await rm(join(root, path), { force: true });
}

async function emptyInside(root: string, path: string): Promise<void> {
  if (!(await inside(root, path))) return;
  for (const name of await readdir(join(root, path)))
    await rm(join(root, path, name), { recursive: true, force: true });
}

/** Whether the path exists and no symlink on it leads elsewhere. */
async function inside(root: string, path: string): Promise<boolean> {
  const full = join(root, path);
  const real = await realpath(full).catch(() => undefined);
  return real !== undefined && real === join(await realpath(root), path);
}

async function clampTimes(root: string, time: bigint, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  for await (const entry of await opendir(root)) {
    const path = join(root, entry.name);
    if (entry.isDirectory()) await clampTimes(path, time, signal);
    else await clampTime(path, await lstat(path, { bigint: true }), time);
  }
  await clampTime(root, await lstat(root, { bigint: true }), time);
}

async function clampTime(path: string, { mtimeNs }: BigIntStats, time: bigint): Promise<void> {
  if (mtimeNs > time * 1_000_000_000n) await lutimes(path, Number(time), Number(time));
}
