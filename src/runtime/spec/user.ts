import { EngineError } from '../../base/errors.ts';
import { readFileInRoot } from '../../linux/rooted.ts';

export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
  /** The primary group first, then those of the group file, then those asked for. */
  readonly additionalGids: readonly number[];
  readonly home: string;
}

/** The lines of a container's user database that we look at; whoever filled it may be hostile. */
export interface UserFiles {
  readonly passwd: string | undefined;
  readonly group: string | undefined;
}

const MAX_ID = 2 ** 31 - 1;

/**
 * Undefined where a file does not exist. One that is huge or out of reach counts as missing, unless `names` are to be
 * looked up in it: then it throws `invalid-argument`. So does anything that is no file, always: runc reads it as well,
 * and would wait for a FIFO's writer for ever.
 */
export function readUserFiles(rootfs: string, options: { names: boolean }): UserFiles {
  return {
    passwd: readTable(rootfs, '/etc/passwd', options.names),
    group: readTable(rootfs, '/etc/group', options.names),
  };
}

/** Whether any of `user[:group]` and the groups added is a name. */
export function hasNames(spec: string, groupAdd: readonly string[]): boolean {
  return [...spec.split(':'), ...groupAdd].some((word) => word !== '' && number(word) === undefined);
}

function readTable(rootfs: string, path: string, needed: boolean): string | undefined {
  try {
    return readFileInRoot(rootfs, path).toString('utf8');
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (!needed && code !== 'invalid-argument') return undefined;
    throw new EngineError('invalid-argument', `cannot read ${path} of the container: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/**
 * `user[:group]`, each by name or number, in the container's own files. A number is always an id; it need not be listed.
 * With an explicit group the group file's memberships do not count, as in Docker. Throws `invalid-argument`.
 */
export function resolveUser(spec: string, groupAdd: readonly string[], files: UserFiles): ContainerUser {
  const colon = spec.indexOf(':');
  const userWord = colon < 0 ? spec : spec.slice(0, colon);
  const groupWord = colon < 0 ? '' : spec.slice(colon + 1);
  const passwd = parseTable(files.passwd, 7);
  const group = parseTable(files.group, 4);

  const wanted = userWord === '' ? 0 : number(userWord);
  const entry = passwd.find((fields) =>
    wanted === undefined ? fields[0] === userWord : number(fields[2]!) === wanted,
  );
  if (!entry && wanted === undefined) {
    throw new EngineError('invalid-argument', `unable to find user ${userWord}: no matching entries in passwd file`);
  }
  const uid = inRange(entry ? number(entry[2]!) : wanted);
  let gid = inRange(entry ? number(entry[3]!) : 0);
  let memberships: number[] = [];
  if (groupWord !== '') {
    gid = groupId(groupWord, group);
  } else if (entry) {
    memberships = group
      .filter((fields) => fields[3]!.split(',').includes(entry[0]!))
      .map((fields) => number(fields[2]!))
      .filter((id) => id !== undefined);
  }
  const added = groupAdd.map((word) => groupId(word, group));
  return { uid, gid, additionalGids: [...new Set([gid, ...memberships, ...added])], home: entry?.[5] || '/' };
}

function groupId(word: string, group: readonly string[][]): number {
  const wanted = number(word);
  if (wanted !== undefined) return inRange(wanted);
  const entry = group.find((fields) => fields[0] === word);
  if (!entry) {
    throw new EngineError('invalid-argument', `unable to find group ${word}: no matching entries in group file`);
  }
  return inRange(number(entry[2]!));
}

/** Lines of colon-separated fields, short ones filled up with empty fields; comments and blank lines are skipped. */
function parseTable(content: string | undefined, fields: number): string[][] {
  const rows: string[][] = [];
  for (const line of (content ?? '').split('\n')) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const row = trimmed.split(':');
    while (row.length < fields) row.push('');
    rows.push(row);
  }
  return rows;
}

function number(word: string): number | undefined {
  return /^-?\d+$/.test(word) ? Number(word) : undefined;
}

function inRange(id: number | undefined): number {
  if (id === undefined) return 0;
  if (id < 0 || id > MAX_ID) {
    throw new EngineError('invalid-argument', `uids and gids must be in range 0-${MAX_ID}`);
  }
  return id;
}
