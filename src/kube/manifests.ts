import { LineCounter, parseAllDocuments, stringify } from 'yaml';
import { EngineError, errorMessage } from '../base/errors.ts';
import { asDict, asList, asText, type Dict, dict, isDict, textOf, type Value } from '../compose/model/value.ts';

const MOST_BYTES = 8 << 20;

/**
 * The objects of a file of manifests, YAML or JSON, lists taken apart. Throws `invalid-argument` with file, line and
 * column for what is no manifest.
 */
export function readManifests(text: string, file: string): Dict[] {
  const invalid = (words: string, cause?: unknown): EngineError =>
    new EngineError('invalid-argument', `${file}: ${words}`, { cause });
  if (text.length > MOST_BYTES) throw invalid(`more than ${MOST_BYTES >> 20} MiB`);
  const lines = new LineCounter();
  // Kubernetes reads YAML 1.1: `0400` is octal
  const documents = parseAllDocuments(text, { version: '1.1', lineCounter: lines, prettyErrors: false, merge: true });
  const found: Dict[] = [];
  for (const document of Array.isArray(documents) ? documents : []) {
    const problem = document.errors[0];
    if (problem) {
      const { line, col } = lines.linePos(problem.pos[0]);
      throw new EngineError('invalid-argument', `${file}:${line}:${col}: ${problem.message}`, { cause: problem });
    }
    let value: Value;
    try {
      value = plain(document.toJS({ maxAliasCount: 1000 }));
    } catch (error) {
      throw invalid(errorMessage(error), error);
    }
    if (value === null) continue;
    if (!isDict(value)) throw invalid('a document is no object');
    const items = value['kind'] === 'List' ? asList(value['items']).map(asDict) : [value];
    for (const item of items) {
      if (asText(item['kind']) === undefined || asText(item['apiVersion']) === undefined)
        throw invalid('an object has no kind or apiVersion: is it a manifest?');
      if (asText(asDict(item['metadata'])['name']) === undefined)
        throw invalid(`a ${textOf(item['kind'])} has no metadata.name`);
      found.push(item);
    }
  }
  if (found.length === 0) throw invalid('there is no manifest in it');
  return found;
}

/** Manifests as YAML that readers of version 1.1 understand alike: `yes` and `0400` as texts are quoted. */
export function manifestYaml(manifests: readonly Dict[]): string {
  const options = { lineWidth: 0, compat: 'yaml-1.1', aliasDuplicateObjects: false, schema: 'core' } as const;
  return manifests.map((one) => stringify(one, options)).join('---\n');
}

export function nameOf(object: Dict): string {
  return textOf(asDict(object['metadata'])['name']);
}

/** Without prototypes: keys are strangers' words. */
function plain(value: unknown): Value {
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Map) return dict([...value].map(([key, item]) => [String(key), plain(item)]));
  if (typeof value === 'bigint') return Number(value);
  if (typeof value !== 'object' || value === null) return (value ?? null) as Value;
  return dict(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}
