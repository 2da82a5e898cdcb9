import { posix } from 'node:path';
import type { MountRequest } from '../api/container.ts';
import { EngineError } from '../base/errors.ts';
import { checkMount } from './mount-request.ts';

/** What `-v` means, in the words of `--mount`. */
export interface ParsedBind {
  readonly request: MountRequest;
  /** As it was written; inspect shows it. */
  readonly mode: string;
  readonly ownership: Ownership | undefined;
}

/**
 * Whose the files are to be: `chown` (`U`) gives all of them to the container's user; `idmap` leaves them as they are, and
 * has their directory's owner and that user change places in the container's view.
 */
export type Ownership = 'chown' | 'idmap';

/**
 * `/host:/inside[:mode]`, `name:/inside[:mode]`, or `/inside` for a volume without a name. Throws `invalid-argument` in
 * Docker's words.
 */
export function parseBind(spec: string, volumeDriver = ''): ParsedBind {
  const parts = spec.split(':');
  if (parts.length > 3 || parts[0] === '') throw badSpec(spec);
  if (parts.length === 2 && parseMode(parts[1]!) !== undefined) throw badSpec(spec);
  const [source, target, mode] =
    parts.length === 1 ? [undefined, parts[0]!, ''] : [parts[0]!, parts[1]!, parts[2] ?? ''];
  const parsed = parseMode(mode);
  if (!parsed) throw new EngineError('invalid-argument', `invalid mode: ${mode}`);
  const isBind = source?.startsWith('/') === true;
  const request = isBind ? bindRequest(source, target, parsed) : volumeRequest(source, target, parsed, volumeDriver);
  try {
    // what does not fit the kind of mount is said as for --mount
    if (isBind && parsed.noCopy) throw mustNot('bind', 'VolumeOptions');
    if (!isBind && parsed.propagation !== '') throw mustNot('volume', 'BindOptions');
    checkMount(request);
  } catch (error) {
    throw new EngineError('invalid-argument', `invalid volume specification: '${spec}': ${(error as Error).message}`, {
      cause: error,
    });
  }
  return { request, mode, ownership: parsed.ownership };
}

function bindRequest(source: string, target: string, mode: BindMode): MountRequest {
  return {
    Type: 'bind',
    Source: posix.resolve(source),
    Target: target,
    ReadOnly: mode.readOnly,
    BindOptions: { CreateMountpoint: true, ...(mode.propagation !== '' && { Propagation: mode.propagation }) },
  };
}

function volumeRequest(source: string | undefined, target: string, mode: BindMode, driver: string): MountRequest {
  return {
    Type: 'volume',
    ...(source !== undefined && { Source: source }),
    Target: target,
    ReadOnly: mode.readOnly,
    VolumeOptions: { ...(mode.noCopy && { NoCopy: true }), ...(driver !== '' && { DriverConfig: { Name: driver } }) },
  };
}

export interface BindMode {
  readonly readOnly: boolean;
  /** `z` (shared) or `Z` (this container's alone): SELinux. */
  readonly relabel: '' | 'z' | 'Z';
  readonly propagation: string;
  readonly noCopy: boolean;
  readonly ownership: Ownership | undefined;
}

export const PROPAGATIONS: readonly string[] = ['private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared'];
const KINDS: readonly (readonly string[])[] = [
  ['ro', 'rw'],
  ['z', 'Z'],
  PROPAGATIONS,
  ['nocopy'],
  ['consistent', 'cached', 'delegated'],
  ['U', 'idmap'],
];

/** At most one word of each kind; undefined when it is none. */
export function parseMode(mode: string): BindMode | undefined {
  const found = KINDS.map(() => '');
  for (const word of mode === '' ? [] : mode.split(',')) {
    const kind = KINDS.findIndex((words) => words.includes(word));
    if (kind < 0 || found[kind] !== '') return undefined;
    found[kind] = word;
  }
  const [access, relabel, propagation, copy, , ownership] = found;
  return {
    readOnly: access === 'ro',
    relabel: relabel as BindMode['relabel'],
    propagation: propagation!,
    noCopy: copy !== '',
    ownership: ownership === 'U' ? 'chown' : ownership === 'idmap' ? 'idmap' : undefined,
  };
}

function badSpec(spec: string): EngineError {
  return new EngineError('invalid-argument', `invalid volume specification: '${spec}'`);
}

function mustNot(type: string, field: string): EngineError {
  return new EngineError(
    'invalid-argument',
    `invalid mount config for type "${type}": field ${field} must not be specified`,
  );
}
