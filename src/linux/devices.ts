import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** A device node of the host. */
export interface DeviceNode {
  readonly path: string;
  readonly type: 'b' | 'c';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** The device at `path`, symlinks followed; undefined when there is something else. Throws `ENOENT` and the like. */
export function deviceAt(path: string): DeviceNode | undefined {
  const stat = statSync(path);
  const type = stat.isBlockDevice() ? 'b' : stat.isCharacterDevice() ? 'c' : undefined;
  if (type === undefined) return undefined;
  return {
    path,
    type,
    major: majorOf(stat.rdev),
    minor: minorOf(stat.rdev),
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
  };
}

/** Parts of /dev that belong to an instance of it, not to the machine. */
const NOT_DEVICES = new Set(['pts', 'shm', 'fd', 'mqueue', '.lxc', '.lxd-mounts', '.udev', 'console']);

/** All device nodes below `directory`, by path. Symlinks are left out; what vanishes meanwhile is skipped. */
export function devicesBelow(directory: string): DeviceNode[] {
  const found: DeviceNode[] = [];
  let entries;
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch {
    return found;
  }
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      if (!NOT_DEVICES.has(entry.name)) found.push(...devicesBelow(path));
    } else if ((entry.isCharacterDevice() || entry.isBlockDevice()) && !NOT_DEVICES.has(entry.name)) {
      try {
        const device = deviceAt(path);
        if (device) found.push(device);
      } catch {
        // unplugged between readdir and stat
      }
    }
  }
  return found;
}

/** glibc's layout of `dev_t`: 12 + 20 bits of major, 20 of minor in Linux's use of it. */
export function majorOf(device: number): number {
  return Number((BigInt(device) >> 8n) & 0xfffn) + Number((BigInt(device) >> 32n) & 0xfffff000n);
}

export function minorOf(device: number): number {
  return Number(BigInt(device) & 0xffn) + Number((BigInt(device) >> 12n) & 0xffffff00n);
}
