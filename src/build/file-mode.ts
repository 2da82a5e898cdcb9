import { EngineError } from '../base/errors.ts';

/** Permission bits a file gets: given, or made of those it has. */
export type ModeChange = number | readonly ModeClause[];

/** One `ug+rwX` of a symbolic mode, as data, so that it can go to a worker. */
export interface ModeClause {
  /** Of `ugo`; bits of the umask are not taken away. */
  readonly who: string;
  readonly operator: '+' | '-' | '=';
  /** Of `rwxXst`, or one of `ugo` to copy from. */
  readonly permissions: string;
}

const SHIFT: Readonly<Record<string, number>> = { u: 6, g: 3, o: 0 };

/** Reads `755`, `0644`, `u=rwX,go=rX` (chmod(1)). Throws `invalid-argument`. */
export function parseMode(text: string): ModeChange {
  if (/^[0-7]{1,4}$/.test(text)) return Number.parseInt(text, 8);
  return text.split(',').flatMap((clause) => {
    const match = /^([ugoa]*)((?:[+=-](?:[rwxXst]*|[ugo]))+)$/.exec(clause);
    if (!match)
      throw new EngineError(
        'invalid-argument',
        `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777, or symbolic (u=rwX,go=rX)`,
      );
    const who = match[1] === '' || match[1]!.includes('a') ? 'ugo' : match[1]!;
    return [...match[2]!.matchAll(/([+=-])([rwxXst]*|[ugo])(?=[+=-]|$)/g)].map(
      ([, operator, permissions]): ModeClause => ({
        who,
        operator: operator as ModeClause['operator'],
        permissions: permissions!,
      }),
    );
  });
}

/** The bits of something that has `mode` after the change. */
export function changeMode(mode: number, change: ModeChange | undefined, isDirectory: boolean): number {
  if (change === undefined) return mode;
  if (typeof change === 'number') return change;
  return change.reduce((before, clause) => applyClause(before, clause, isDirectory), mode);
}

function applyClause(mode: number, { who, operator, permissions }: ModeClause, isDirectory: boolean): number {
  let bits = 0;
  let reach = 0;
  for (const one of who) {
    const shift = SHIFT[one]!;
    reach |= 0o7 << shift;
    if (one === 'u') reach |= 0o4000;
    if (one === 'g') reach |= 0o2000;
    for (const permission of permissions) bits |= permissionBits(permission, { one, shift, mode, isDirectory });
  }
  if (who === 'ugo') reach |= 0o1000;
  if (operator === '+') return mode | bits;
  if (operator === '-') return mode & ~bits;
  return (mode & ~reach) | bits;
}

function permissionBits(
  permission: string,
  { one, shift, mode, isDirectory }: { one: string; shift: number; mode: number; isDirectory: boolean },
): number {
  switch (permission) {
    case 'r':
      return 0o4 << shift;
    case 'w':
      return 0o2 << shift;
    case 'x':
      return 0o1 << shift;
    case 'X':
      return isDirectory || (mode & 0o111) !== 0 ? 0o1 << shift : 0;
    case 's':
      return one === 'u' ? 0o4000 : one === 'g' ? 0o2000 : 0;
    case 't':
      return 0o1000;
    default:
      return ((mode >> SHIFT[permission]!) & 0o7) << shift;
  }
}
