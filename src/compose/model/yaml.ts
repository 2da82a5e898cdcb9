import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  type ScalarTag,
  type YAMLMap,
} from 'yaml';
import { errorMessage } from '../../base/errors.ts';
import { interpolate, type InterpolateOptions, type Variable, variablesOf } from './interpolate.ts';
import { errorAt, type Place, type Places } from './place.ts';
import { dict, type Dict, isDict, type Value } from './value.ts';

/** One document of a Compose file, as it is written. */
export interface YamlDocument {
  readonly tree: Dict;
  /** Paths marked `!reset` or `!override`: what earlier files say there does not count. */
  readonly removed: readonly (readonly string[])[];
  /** Texts that variables went into: the only ones that may become numbers and switches. */
  readonly interpolated: ReadonlySet<string>;
}

/** More than any real project needs; aliases within aliases reach it soon. */
const MOST_NODES = 200_000;
const DEEPEST = 100;

/** Go's reading of numbers: `0440` is octal. */
const octal: ScalarTag = {
  tag: 'tag:yaml.org,2002:int',
  identify: () => false,
  default: true,
  test: /^[-+]?0[0-7_]+$/,
  resolve: (text) => Number.parseInt(text.replaceAll('_', ''), 8),
};
/** And of `1_000`. */
const grouped: ScalarTag = {
  tag: 'tag:yaml.org,2002:int',
  identify: () => false,
  default: true,
  test: /^[-+]?[1-9][0-9]*(_[0-9]+)+$/,
  resolve: (text) => Number(text.replaceAll('_', '')),
};
const reset: ScalarTag = { tag: '!reset', identify: () => false, resolve: (text) => text };
const override: ScalarTag = { tag: '!override', identify: () => false, resolve: (text) => text };

/** Parses a file's documents; keys keep their places, texts get their variables' values. Throws with file, line and column. */
export function readYaml(
  text: string,
  file: string,
  options: {
    readonly places: Places;
    readonly interpolation?: InterpolateOptions | undefined;
    /** For texts that are left as they are. */
    readonly onVariable?: ((variable: Variable) => void) | undefined;
  },
): YamlDocument[] {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    merge: true,
    uniqueKeys: true,
    prettyErrors: false,
    customTags: (tags) => [octal, grouped, reset, override, ...tags],
  });
  if (!Array.isArray(documents)) return [];
  const found: YamlDocument[] = [];
  for (const document of documents) {
    const problem = document.errors[0];
    if (problem) {
      const { line, col } = lines.linePos(problem.pos[0]);
      throw errorAt({ file, line, column: col }, `yaml: ${problem.message}`);
    }
    if (document.contents === null) continue;
    found.push(new Reader(file, lines, options, document).read(document.contents));
  }
  return found;
}

class Reader {
  readonly #file: string;
  readonly #lines: LineCounter;
  readonly #places: Places;
  readonly #interpolation: InterpolateOptions | undefined;
  readonly #onVariable: ((variable: Variable) => void) | undefined;
  readonly #document: ReturnType<typeof parseAllDocuments>[number];
  readonly #removed: string[][] = [];
  readonly #interpolated = new Set<string>();
  readonly #resolving = new Set<Node>();
  #nodes = 0;

  constructor(
    file: string,
    lines: LineCounter,
    options: Parameters<typeof readYaml>[2],
    document: ReturnType<typeof parseAllDocuments>[number],
  ) {
    this.#file = file;
    this.#lines = lines;
    this.#places = options.places;
    this.#interpolation = options.interpolation;
    this.#onVariable = options.onVariable;
    this.#document = document;
  }

  read(contents: Node): YamlDocument {
    const tree = this.#value(contents, []);
    if (!isDict(tree)) {
      if (tree === null || tree === undefined) return { tree: dict(), removed: [], interpolated: this.#interpolated };
      throw errorAt(this.#place(contents), 'top-level object must be a mapping');
    }
    return { tree, removed: this.#removed, interpolated: this.#interpolated };
  }

  /** Undefined for what is reset. */
  #value(node: Node, path: readonly string[]): Value | undefined {
    if (++this.#nodes > MOST_NODES)
      throw errorAt(this.#place(node), 'the file grows beyond all measure: its aliases stand for too much');
    if (path.length > DEEPEST) throw errorAt(this.#place(node), 'the file is nested too deeply');
    if (node.tag === '!reset') {
      this.#removed.push([...path]);
      return undefined;
    }
    if (node.tag === '!override') this.#removed.push([...path]);
    if (isAlias(node)) {
      const target = node.resolve(this.#document as never) as Node | undefined;
      if (!target) throw errorAt(this.#place(node), `unknown anchor '${node.source}' referenced`);
      if (this.#resolving.has(target))
        throw errorAt(this.#place(node), `anchor '${node.source}' value contains itself`);
      this.#resolving.add(target);
      const value = this.#value(target, path);
      this.#resolving.delete(target);
      return value;
    }
    if (isMap(node)) return this.#map(node as YAMLMap<Node, Node | null>, path);
    if (isSeq(node)) {
      const list: Value[] = [];
      for (const [i, item] of (node.items as (Node | null)[]).entries()) {
        const value = item === null ? null : this.#value(item, [...path, String(i)]);
        if (value === undefined) continue;
        if (item) this.#places.set(list, list.length, this.#place(item));
        list.push(value);
      }
      return list;
    }
    return isScalar(node) ? this.#scalar(node.value, node) : null;
  }

  #map(node: YAMLMap<Node, Node | null>, path: readonly string[]): Dict {
    const out = dict();
    const merged: Node[] = [];
    for (const { key, value } of node.items) {
      const name = isScalar(key) ? key.value : undefined;
      if (isMergeKey(key, name)) {
        if (value) merged.push(value);
        continue;
      }
      if (name !== null && typeof name !== 'string' && typeof name !== 'number' && typeof name !== 'boolean')
        throw errorAt(this.#place(key), `non-string key in ${path.join('.') || 'the top level'}`);
      const text = String(name);
      const item = value === null ? null : this.#value(value, [...path, text]);
      if (item === undefined) continue;
      out[text] = item;
      this.#places.set(out, text, this.#place(key));
    }
    for (const source of merged) this.#mergeInto(out, source, path);
    return out;
  }

  /** `<<`: what is written at its place wins, then the earlier of a list. */
  #mergeInto(out: Dict, source: Node, path: readonly string[]): void {
    const target = isAlias(source) ? (source.resolve(this.#document as never) as Node | undefined) : source;
    if (target && isSeq(target)) {
      for (const item of target.items as Node[]) this.#mergeInto(out, item, path);
      return;
    }
    const value = this.#value(source, path);
    if (!isDict(value)) throw errorAt(this.#place(source), 'map merge requires map or sequence of maps as the value');
    for (const [key, item] of Object.entries(value)) {
      if (key in out) continue;
      out[key] = item;
      const place = this.#places.get(value, key);
      if (place) this.#places.set(out, key, place);
    }
  }

  #scalar(value: unknown, node: Node): Value {
    if (typeof value === 'bigint') return Number(value);
    if (typeof value === 'number' || typeof value === 'boolean' || value === null) return value;
    if (typeof value !== 'string') return null; // what no tag of ours makes
    if (!value.includes('$')) return value;
    if (!this.#interpolation) {
      if (this.#onVariable) variablesOf(value, this.#onVariable);
      return value;
    }
    try {
      const text = interpolate(value, this.#interpolation);
      this.#interpolated.add(text);
      return text;
    } catch (error) {
      throw errorAt(this.#place(node), errorMessage(error));
    }
  }

  #place(node: Node): Place {
    const { line, col } = this.#lines.linePos(node.range?.[0] ?? 0);
    return { file: this.#file, line, column: col };
  }
}

/** The parser turns `<<` into a symbol where it merges by itself. */
function isMergeKey(key: Node, name: unknown): boolean {
  if (!isScalar(key)) return false;
  return name === '<<' ? key.type === undefined || key.type === 'PLAIN' : typeof name === 'symbol';
}
