import { cutPair, parseCsv } from './csv.ts';

/** One `--output` of a build. */
export interface BuildOutputFlag {
  readonly type: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Where this side writes it: a directory, a file, `-` for stdout; undefined when it stays with the engine. */
  readonly dest: string | undefined;
  /** Whether `dest` is a directory that the stream is unpacked into. */
  readonly unpack: boolean;
  /** What is in `dest` and not in the stream is removed. */
  readonly replace?: boolean;
}

const TYPES = ['local', 'tar', 'oci', 'docker', 'image', 'registry', 'cacheonly'];

/** `DIR`, `-`, or `type=…,key=value,…`. Throws with the reason. */
export function parseBuildOutput(text: string): BuildOutputFlag {
  const fields = parseCsv(text);
  if (fields.length === 1 && fields[0] === text && !text.startsWith('type=')) {
    if (text === '') throw new Error('invalid output: empty: name a directory, or type=…');
    return text === '-'
      ? { type: 'tar', attributes: {}, dest: '-', unpack: false }
      : { type: 'local', attributes: {}, dest: text, unpack: true };
  }
  const attributes: Record<string, string> = {};
  let type = '';
  for (const field of fields) {
    const pair = cutPair(field);
    if (!pair) throw new Error(`invalid value ${field}`);
    const key = pair[0].toLowerCase().startsWith('annotation') ? pair[0] : pair[0].trim().toLowerCase();
    if (key === 'type') type = pair[1];
    else attributes[key] = pair[1];
  }
  if (type === '') throw new Error('type is required for output');
  if (!TYPES.includes(type)) throw new Error(`unknown output type ${JSON.stringify(type)}: use ${TYPES.join(', ')}`);
  const { dest, ...rest } = attributes;
  switch (type) {
    case 'local': {
      if (!dest) throw new Error('dest is required for local output');
      if (dest === '-') throw new Error('dest cannot be stdout for local output');
      // It is this side's: the engine sends the same for both.
      const { mode = 'copy', ...others } = rest;
      if (mode !== 'copy' && mode !== 'delete')
        throw new Error(`invalid mode ${JSON.stringify(mode)} for local output: use copy or delete`);
      return { type, attributes: others, dest, unpack: true, replace: mode === 'delete' };
    }
    case 'tar':
      return { type, attributes: rest, dest: dest || '-', unpack: false };
    case 'oci': {
      const { tar, ...others } = rest;
      const unpack = tar !== undefined && /^(0|f|false)$/i.test(tar);
      if (unpack && !dest) throw new Error('dest is required for oci output without tar');
      return { type, attributes: others, dest: dest || '-', unpack };
    }
    case 'docker': {
      const { tar: _, ...others } = rest;
      return dest
        ? { type, attributes: { ...others, dest: 'client' }, dest, unpack: false }
        : { type, attributes: others, dest: undefined, unpack: false };
    }
    default:
      if (dest !== undefined) throw new Error(`output ${type} takes no dest`);
      return { type, attributes: rest, dest: undefined, unpack: false };
  }
}
