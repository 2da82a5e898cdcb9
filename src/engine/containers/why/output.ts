import type { Finding } from '../../../api/why.ts';
import { CAPABILITY_NAMES } from '../../../linux/host-facts.ts';
import { defaultCapabilities } from '../../../runtime/spec/capabilities.ts';
import type { ContainerRecord } from '../../../state/containers.ts';
import { neededCapabilities } from './capability-needs.ts';

/** What programs say of a lack that the container's own settings explain. The first that fits a line, the last line first. */
export function outputFindings(lines: readonly string[], { config, hostConfig }: ContainerRecord): Finding[] {
  const line = (words: RegExp): string | undefined => lines.findLast((text) => words.test(text));
  const found: Finding[] = [];
  const readOnly = line(/read-only file system|EROFS/i);
  if (readOnly !== undefined) {
    const path = pathIn(readOnly);
    const place = path === undefined ? '' : path.slice(0, Math.max(1, path.lastIndexOf('/')));
    found.push({
      Kind: 'read-only',
      Text: `it writes${path === undefined ? '' : ` to ${path}`} where ${hostConfig.ReadonlyRootfs ? 'its root filesystem is' : 'a mount is'} read-only`,
      Hint: `give it a place to write: ${place === '' ? '--tmpfs PATH' : `--tmpfs ${place}`}, or a volume there`,
    });
  }
  const format = line(/exec format error/i);
  if (format !== undefined) {
    found.push({
      Kind: 'wrong-architecture',
      Text: 'the kernel does not know the format of its program',
      Hint: 'the program is for another architecture, or a script without its #! line: pull with --platform, or install binfmt emulation',
    });
  }
  const missing = line(/^(?:exec|\S*: line \d+|env|sh|\/bin\/\w+)\b.*(?:not found|no such file or directory)/i);
  if (missing !== undefined && found.length === 0) {
    found.push({
      Kind: 'command-not-found',
      Text: `a command is not there: ${missing.trim()}`,
      Hint: 'of a script, the interpreter after #! counts too; line ends of Windows make it another name',
    });
  }
  const denied = line(/permission denied|operation not permitted|EACCES|EPERM/i);
  const granted = grantedCapabilities(hostConfig);
  const needed = denied === undefined ? [] : neededCapabilities(denied, granted);
  if (denied !== undefined && needed.length > 0 && readOnly === undefined) {
    found.push({
      Kind: 'capability-missing',
      Text: `it was denied what takes ${needed.map((name) => `CAP_${name}`).join(' and ')}: ${denied.trim()}`,
      Hint: `if it must: ${needed.map((name) => `--cap-add ${name}`).join(' ')}`,
    });
    return found;
  }
  if (denied !== undefined && readOnly === undefined) {
    const user = config.User ?? '';
    const path = pathIn(denied);
    const root = user === '' || /^(?:0|root)(?::|$)/.test(user);
    found.push({
      Kind: 'permission-denied',
      Text: `it was denied${path === undefined ? ' something' : ` ${path}`}: ${denied.trim()}`,
      Hint: root
        ? 'it is root with few capabilities: give the one that is missing (--cap-add), not --privileged'
        : `it runs as ${user}: give that user the files (chown in the build, or a volume that is its own)`,
    });
  }
  const inUse = line(/address already in use|EADDRINUSE/i);
  if (inUse !== undefined) {
    found.push({
      Kind: 'address-in-use',
      Text: `a port that it listens on is taken: ${inUse.trim()}`,
      Hint:
        hostConfig.NetworkMode === 'host'
          ? 'it is on the host’s network: another program of the host has the port'
          : 'another process of the container, or of one that shares its network, has the port',
    });
  }
  const full = line(/no space left on device|ENOSPC/i);
  if (full !== undefined)
    found.push({
      Kind: 'no-space',
      Text: `a disk is full: ${full.trim()}`,
      Hint: 'gantry system df, gantry system prune; a tmpfs or /dev/shm has its own size (--shm-size)',
    });
  const name = line(
    /(?:could not resolve|name or service not known|temporary failure in name resolution|ENOTFOUND|EAI_AGAIN|bad address)/i,
  );
  if (name !== undefined) {
    found.push({
      Kind: 'name-not-found',
      Text: `a name was not found: ${name.trim()}`,
      Hint: 'gantry dns trace -c CONTAINER NAME shows who was asked; containers know each other by name on networks that were created, not on the default bridge',
    });
  }
  return found;
}

/** Without `CAP_`. */
function grantedCapabilities({ CapAdd, CapDrop, Privileged }: ContainerRecord['hostConfig']): ReadonlySet<string> {
  const plain = (names: readonly string[] | null | undefined): string[] =>
    (names ?? []).map((name) => name.toUpperCase().replace(/^CAP_/, ''));
  const [added, dropped] = [plain(CapAdd), plain(CapDrop)];
  const base = dropped.includes('ALL') ? [] : plain(defaultCapabilities()).filter((name) => !dropped.includes(name));
  return new Set(Privileged || added.includes('ALL') ? EVERYTHING : [...base, ...added]);
}

const EVERYTHING: readonly string[] = CAPABILITY_NAMES.map((name) => name.replace(/^CAP_/, ''));

/** The first absolute path that a line names. */
function pathIn(line: string): string | undefined {
  return /(?:^|[\s'"`:(])(\/[^\s'"`:,)]+)/.exec(line.replace(/^\S*sh: (?:line )?\d+: /, ''))?.[1];
}
