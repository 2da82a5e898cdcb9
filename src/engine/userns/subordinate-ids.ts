import { readFileSync } from 'node:fs';
import { EngineError } from '../../base/errors.ts';
import type { ContainerIds } from '../../state/containers.ts';

/** The first range that subuid(5) or subgid(5) gives a user, or its number. Undefined when there is none. */
export function subordinateRange(
  file: '/etc/subuid' | '/etc/subgid',
  user: string,
  read: (path: string) => string = (path) => readFileSync(path, 'utf8'),
): { base: number; size: number } | undefined {
  let text: string;
  try {
    text = read(file);
  } catch {
    return undefined;
  }
  for (const line of text.split('\n')) {
    const [name, base, size] = line.split(':');
    if (name !== user || !/^\d+$/.test(base ?? '') || !/^\d+$/.test(size ?? '')) continue;
    return { base: Number(base), size: Number(size) };
  }
  return undefined;
}

/** As dockerd does for `userns-remap`. */
const DEFAULT_USER = 'dockremap';

/**
 * The ids that the setting `userns-remap` means, dockerd's: `default`, `user` or `user:group`, by name. Throws
 * `invalid-argument` when the host gives them no subordinate ids.
 */
export function remappedIds(setting: string, read?: (path: string) => string): ContainerIds {
  const [first = '', second] = setting.split(':');
  const user = first === 'default' ? DEFAULT_USER : first;
  const group = second === undefined || second === '' ? user : second;
  const uid = subordinateRange('/etc/subuid', user, read);
  const gid = subordinateRange('/etc/subgid', group, read);
  if (!uid || !gid) {
    const [file, name] = uid ? ['/etc/subgid', group] : ['/etc/subuid', user];
    throw new EngineError(
      'invalid-argument',
      `userns-remap ${JSON.stringify(setting)}: ${file} has no line for ${name}: add one (${name}:100000:65536) for each of /etc/subuid and /etc/subgid`,
    );
  }
  for (const { base, size } of [uid, gid]) {
    if (base < size)
      throw new EngineError(
        'invalid-argument',
        `userns-remap ${JSON.stringify(setting)}: its range of ids begins at ${base}, below its length ${size}`,
      );
  }
  return { uid, gid };
}
