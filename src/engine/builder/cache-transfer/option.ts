import { EngineError } from '../../../base/errors.ts';
import { readForm, truth } from '../outputs/output.ts';
import type { ImageForm } from '../outputs/output.ts';

/** Where a cache comes from: one `--cache-from`, or a name in the classic API's `cachefrom`. */
export type CacheSource =
  /** An image of this machine. */
  | { readonly kind: 'image'; readonly reference: string }
  | { readonly kind: 'registry'; readonly reference: string }
  /** A directory of the client, by its number in the request: what is in it is asked for as it is needed. */
  | { readonly kind: 'local'; readonly index: number; readonly tag: string };

/** Where a cache goes: one `--cache-to`. */
export type CacheTarget =
  | { readonly kind: 'inline' }
  | (CacheExport & { readonly kind: 'registry'; readonly reference: string })
  | (CacheExport & { readonly kind: 'local'; readonly index: number; readonly tag: string });

interface CacheExport {
  /** `min`: the steps whose layers are in the result; `max`: all of them. */
  readonly mode: 'min' | 'max';
  readonly form: ImageForm;
  /** A failed export does not fail the build. */
  readonly ignoreError: boolean;
}

const ELSEWHERE = ['gha', 's3', 'azblob'];
const COMPRESSION = ['compression', 'compression-level', 'force-compression', 'oci-mediatypes', 'image-manifest'];

/** The name of an image that is here, or `type=registry,ref=…`, `type=local,…` as buildx writes it. Throws `invalid-argument`, `unimplemented`. */
export function readCacheSource(text: string, index: number): CacheSource {
  if (!text.includes('=')) return { kind: 'image', reference: text };
  const { type, attributes } = readFields(text, 'cache-from');
  switch (type) {
    case 'registry':
      allow(type, attributes, ['ref', 'registry.insecure', 'ignore-error']);
      return { kind: 'registry', reference: need(type, attributes, 'ref') };
    case 'local':
      allow(type, attributes, ['src', 'tag', 'digest', 'ignore-error']);
      need(type, attributes, 'src');
      return { kind: 'local', index, tag: attributes['tag'] ?? 'latest' };
    default:
      throw unknown(type, 'cache-from', 'registry or local');
  }
}

/** `type=inline`, `type=registry,ref=…,mode=max`, `type=local,dest=…`, or the name of an image. Throws `invalid-argument`, `unimplemented`. */
export function readCacheTarget(text: string, index: number): CacheTarget {
  const { type, attributes } = text.includes('=')
    ? readFields(text, 'cache-to')
    : { type: text === 'inline' ? 'inline' : 'registry', attributes: { ref: text } as Record<string, string> };
  switch (type) {
    case 'inline':
      return { kind: 'inline' };
    case 'registry':
      allow(type, attributes, ['ref', 'mode', 'ignore-error', 'registry.insecure', ...COMPRESSION]);
      return { kind: type, reference: need(type, attributes, 'ref'), ...readExport(type, attributes) };
    case 'local':
      allow(type, attributes, ['dest', 'tag', 'mode', 'ignore-error', ...COMPRESSION]);
      need(type, attributes, 'dest');
      return { kind: type, index, tag: attributes['tag'] ?? 'latest', ...readExport(type, attributes) };
    default:
      throw unknown(type, 'cache-to', 'inline, registry or local');
  }
}

function readExport(type: string, attributes: Readonly<Record<string, string>>): CacheExport {
  const mode = attributes['mode'] ?? 'min';
  if (mode !== 'min' && mode !== 'max')
    throw new EngineError('invalid-argument', `invalid cache mode ${JSON.stringify(mode)}: use min or max`);
  return {
    mode,
    form: readForm(type, attributes),
    ignoreError: truth(type, 'ignore-error', attributes['ignore-error'], false),
  };
}

function readFields(text: string, flag: string): { type: string; attributes: Record<string, string> } {
  const attributes: Record<string, string> = {};
  for (const field of text.split(',')) {
    const cut = field.indexOf('=');
    if (cut < 0) throw new EngineError('invalid-argument', `invalid value ${JSON.stringify(field)} in ${flag}`);
    attributes[field.slice(0, cut).toLowerCase()] = field.slice(cut + 1);
  }
  const { type, ...rest } = attributes;
  if (type === undefined) throw new EngineError('invalid-argument', `type required for ${flag}: ${text}`);
  return { type, attributes: rest };
}

function need(type: string, attributes: Readonly<Record<string, string>>, name: string): string {
  const value = attributes[name];
  if (!value) throw new EngineError('invalid-argument', `a cache of type ${type} needs ${name}=`);
  return value;
}

function allow(type: string, attributes: Readonly<Record<string, string>>, known: readonly string[]): void {
  for (const name of Object.keys(attributes))
    if (!known.includes(name)) {
      throw new EngineError(
        'invalid-argument',
        `unknown option ${JSON.stringify(name)} for a cache of type ${type}: it takes ${known.join(', ')}`,
      );
    }
}

function unknown(type: string, flag: string, want: string): EngineError {
  return ELSEWHERE.includes(type)
    ? new EngineError('unimplemented', `a cache of type ${type} is not supported by this engine: use ${want}`)
    : new EngineError('invalid-argument', `unknown type ${JSON.stringify(type)} for ${flag}: use ${want}`);
}
