import { CommandError } from '../command.ts';
import { cutPair, parseCsv } from './csv.ts';

/** A cache of a build, as the engine is told of it. */
export interface CacheFlag {
  readonly text: string;
  /** Of `type=local`: the directory on this side. The engine is not told where it is. */
  readonly directory: string | undefined;
}

export interface CacheFlags {
  readonly from: readonly CacheFlag[];
  readonly to: readonly CacheFlag[];
}

/** `--cache-from` and `--cache-to`: names of images, or `type=…,key=value`. Throws CommandError. */
export function readCacheFlags(flags: {
  readonly from: readonly string[];
  readonly to: readonly string[];
}): CacheFlags {
  try {
    return {
      from: flags.from.flatMap((text) => readCacheFlag(text, 'src')),
      to: flags.to.flatMap((text) => readCacheFlag(text, 'dest')),
    };
  } catch (error) {
    throw new CommandError(`invalid cache option: ${(error as Error).message}`, 1, { cause: error });
  }
}

function readCacheFlag(text: string, place: 'src' | 'dest'): CacheFlag[] {
  const fields = parseCsv(text);
  // Names alone, several with commas between: of images here or at a registry.
  if (fields.every((field) => !field.includes('='))) {
    return fields.filter((name) => name !== '').flatMap((name) => namedCache(name, place));
  }
  const pairs = fields.map((field) => {
    const pair = cutPair(field);
    if (!pair) throw new Error(`invalid value ${field}`);
    return [pair[0].toLowerCase(), pair[1]] as const;
  });
  const attributes = new Map(pairs);
  if (attributes.get('type') !== 'local') return [{ text, directory: undefined }];
  const directory = attributes.get(place);
  if (!directory) throw new Error(`a cache of type local needs ${place}=`);
  const shown = pairs.map(([key, value]) => `${key}=${key === place ? 'client' : value}`).join(',');
  return [{ text: shown, directory }];
}

/** A name that is asked at the registry too when a cache is read. */
function namedCache(name: string, place: 'src' | 'dest'): CacheFlag[] {
  const registry = { text: `type=registry,ref=${name}`, directory: undefined };
  if (place === 'dest') return [name === 'inline' ? { text: 'type=inline', directory: undefined } : registry];
  return [{ text: name, directory: undefined }, registry];
}
