import { basename, dirname, resolve, sep } from 'node:path';
import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import { parseDotenv } from './dotenv.ts';
import type { ProjectInputs } from './inputs.ts';
import { type Lookup, notSet, type Variable } from './interpolate.ts';
import { expandShortForms, FormError } from './long-form.ts';
import { deduplicate, merge, remove } from './merge.ts';
import { resolvePaths, toAbsolute } from './paths.ts';
import { errorAt, type Place, Places } from './place.ts';
import { isRemoteFile, type RemoteFile, RemoteFileNeeded } from './remote-file.ts';
import { checkInside, checkRemotePaths, composeFileIn } from './remote-paths.ts';
import { validateSchema } from './schema.ts';
import { asDict, asList, asText, clone, dict, type Dict, isDict, sameValue, textOf } from './value.ts';
import { readYaml } from './yaml.ts';

export interface ComposeFilesOptions {
  /** Absolute paths, in the order they are merged; `-` is `stdin`. */
  readonly files: readonly string[];
  readonly directory: string;
  readonly lookup: Lookup;
  readonly home: string | undefined;
  readonly stdin?: string | undefined;
  readonly interpolate: boolean;
  readonly resolvePaths: boolean;
  readonly warn: (message: string) => void;
  readonly inputs: ProjectInputs;
  readonly onVariable?: ((variable: Variable) => void) | undefined;
  /** Gives the local path of what the address of a repository or an artifact means. */
  readonly fetchRemote?: ((address: string) => RemoteFile) | undefined;
  /** Roots of those among `files` that were fetched. */
  readonly remoteRoots?: readonly string[];
}

interface Document {
  readonly tree: Dict;
  readonly removed: readonly (readonly string[])[];
}

const LARGEST = 16 * 2 ** 20;

/** Reads, checks, and merges files, what they include, and what their services extend: one tree in long form. */
export function readComposeFiles(options: ComposeFilesOptions): { tree: Dict; places: Places } {
  const reader = new ComposeFiles(options);
  return { tree: reader.readAll(options.files, options.directory, options.lookup, []), places: reader.places };
}

class ComposeFiles {
  readonly places = new Places();
  readonly #options: ComposeFilesOptions;
  readonly #missing = new Set<string>();
  readonly #roots: Set<string>;

  constructor(options: ComposeFilesOptions) {
    this.#options = options;
    this.#roots = new Set(options.remoteRoots);
  }

  /** Of the repository or artifact that a file came with; undefined for a file of this machine. */
  #rootOf(file: string): string | undefined {
    return [...this.#roots].find((root) => file.startsWith(`${root}${sep}`));
  }

  readAll(files: readonly string[], directory: string, lookup: Lookup, including: readonly string[]): Dict {
    let tree = dict();
    for (const [i, file] of files.entries()) {
      for (const document of this.#documents(file, lookup, i > 0)) {
        const included = this.#included(document.tree, directory, lookup, [...including, file]);
        delete document.tree['include'];
        const root = this.#rootOf(file);
        if (root !== undefined)
          checkRemotePaths(document.tree, root, { directory, home: this.#options.home }, this.places);
        this.#extendServices(document, file, directory, lookup);
        if (this.#options.resolvePaths || including.length > 0)
          resolvePaths(document.tree, { directory, home: this.#options.home });
        if (included) {
          this.#checkConflicts(document.tree, included);
          tree = this.#combine(tree, included);
        }
        for (const path of document.removed) remove(tree, path);
        tree = merge(tree, document.tree) as Dict;
        this.#keepPlaces(tree, document.tree);
      }
    }
    if (this.#options.resolvePaths || including.length > 0)
      for (const service of Object.values(asDict(tree['services']))) {
        const build = asDict(service)['build'];
        if (isDict(build)) build['context'] ??= directory;
      }
    return tree;
  }

  /** `over`: an earlier file's values stay where this one says nothing. */
  #documents(file: string, lookup: Lookup, over = false): Document[] {
    const text = this.#text(file);
    const documents = readYaml(text, file, {
      places: this.places,
      onVariable: this.#options.onVariable,
      interpolation: this.#options.interpolate
        ? {
            lookup,
            onVariable: this.#options.onVariable,
            onMissing: (name) => {
              if (this.#missing.has(name)) return;
              this.#missing.add(name);
              this.#options.warn(notSet(name));
            },
          }
        : undefined,
    });
    if (documents.length === 0) throw new EngineError('invalid-argument', `${file}: empty compose file`);
    for (const document of documents) {
      if (document.tree['version'] !== undefined)
        this.#options.warn(
          `${file}: the attribute \`version\` is obsolete, it will be ignored, please remove it to avoid potential confusion`,
        );
      if (over)
        for (const service of Object.values(asDict(document.tree['services'])).filter(isDict))
          for (const key of Object.keys(service)) if (service[key] === null) delete service[key];
      // A file that is still to be interpolated holds texts where the schema wants numbers.
      if (this.#options.interpolate)
        validateSchema(document.tree, { places: this.places, interpolated: document.interpolated, file });
      delete document.tree['version'];
      try {
        expandShortForms(document.tree, { asWritten: !this.#options.interpolate });
      } catch (error) {
        if (!(error instanceof FormError)) throw error;
        throw errorAt(this.places.get(error.container, error.key) ?? { file, line: 1, column: 1 }, error.message);
      }
      for (const service of Object.values(asDict(document.tree['services']))) deduplicate(asDict(service));
    }
    return documents;
  }

  #text(file: string): string {
    if (file === '-') return this.#options.stdin ?? '';
    try {
      return this.#options.inputs.text(file, {
        bytes: LARGEST,
        tooLarge: () =>
          new EngineError('too-large', `${file} is larger than ${LARGEST / 2 ** 20} MiB: this is no Compose file`),
      });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT')
        throw new EngineError('not-found', `open ${file}: no such file or directory`, { cause: error });
      if (code === 'EISDIR')
        throw new EngineError('invalid-argument', `read ${file}: is a directory`, { cause: error });
      throw error;
    }
  }

  #included(tree: Dict, directory: string, lookup: Lookup, including: readonly string[]): Dict | undefined {
    let all: Dict | undefined;
    for (const [i, item] of asList(tree['include']).entries()) {
      const place = this.places.get(tree['include'] as object, i) ?? this.places.get(tree, 'include');
      const given = asDict(item);
      const base = { directory, home: this.#options.home };
      const files = asList(given['path']).map((path) => this.#localFile(textOf(path), place, base, including.at(-1)!));
      const cycle = files.find((path) => including.includes(path));
      if (cycle !== undefined)
        throw errorAt(place, `include cycle detected:\n${[...including, cycle].join('\n include ')}`);
      const written = asText(given['project_directory']);
      const inner = written === undefined ? dirname(files[0] ?? directory) : toAbsolute(written, base);
      const variables = this.#includeVariables(given, inner, lookup, base, including.at(-1)!);
      const read = this.readAll(files, inner, (name) => lookup(name) ?? variables.get(name), including);
      all = all ? this.#combine(all, read) : read;
    }
    return all;
  }

  /** @param from the file that names it */
  #localFile(
    path: string,
    place: Place | undefined,
    base: { directory: string; home: string | undefined },
    from: string,
  ): string {
    if (!isRemoteFile(path)) {
      const local = toAbsolute(path, base);
      const root = this.#rootOf(from);
      if (root !== undefined) checkInside(local, [root, base.directory], 'what is included or extended', place);
      return local;
    }
    if (!this.#options.fetchRemote)
      throw errorAt(place, `${path}: files from registries and repositories are not fetched here`, 'unimplemented');
    try {
      const fetched = this.#options.fetchRemote(path);
      this.#roots.add(fetched.root);
      return composeFileIn(fetched.path);
    } catch (error) {
      if (error instanceof RemoteFileNeeded) throw new RemoteFileNeeded(error.address, place);
      throw errorAt(place, errorMessage(error), errorCode(error));
    }
  }

  #includeVariables(
    given: Dict,
    directory: string,
    lookup: Lookup,
    base: { directory: string; home: string | undefined },
    from: string,
  ): Map<string, string> {
    const written = asList(given['env_file']).map((path) => toAbsolute(textOf(path), base));
    const root = this.#rootOf(from);
    if (root !== undefined)
      for (const file of written) checkInside(file, [root, base.directory], 'include.env_file', undefined);
    const files = given['env_file'] === undefined ? [resolve(directory, '.env')] : written;
    const found = new Map<string, string>();
    for (const file of files) {
      if (given['env_file'] === undefined && !this.#options.inputs.exists(file)) continue;
      for (const [name, value] of parseDotenv(this.#text(file), file, lookup, {
        onMissing: (missing) => this.#options.warn(notSet(missing)),
      }))
        found.set(name, value);
    }
    return found;
  }

  /** What two inclusions both define must be the same, or belong to the including file alone. */
  #combine(tree: Dict, included: Dict): Dict {
    this.#checkConflicts(tree, included);
    const merged = merge(included, tree) as Dict;
    this.#keepPlaces(merged, included);
    this.#keepPlaces(merged, tree);
    return merged;
  }

  #checkConflicts(tree: Dict, included: Dict): void {
    for (const kind of ['services', 'networks', 'volumes', 'secrets', 'configs']) {
      const [ours, theirs] = [asDict(tree[kind]), asDict(included[kind])];
      for (const name of Object.keys(theirs))
        if (name in ours && !sameValue(ours[name], theirs[name]))
          throw errorAt(
            this.places.get(ours, name) ?? this.places.get(theirs, name),
            `imported compose file conflicts with ${kind}.${name}: it is defined already`,
            'conflict',
          );
    }
  }

  #extendServices(document: Document, file: string, directory: string, lookup: Lookup): void {
    const services = asDict(document.tree['services']);
    for (const name of Object.keys(services))
      services[name] = this.#extended(document, name, file, directory, lookup, []);
  }

  #extended(
    document: Document,
    name: string,
    file: string,
    directory: string,
    lookup: Lookup,
    chain: readonly string[],
  ): Dict {
    const services = asDict(document.tree['services']);
    const service = asDict(services[name]);
    const given = service['extends'];
    if (!isDict(given)) return service;
    const place = this.places.get(service, 'extends') ?? this.places.get(services, name);
    const link = `${file}:${name}`;
    if (chain.includes(link)) throw errorAt(place, `circular reference with extends: ${[...chain, link].join(' -> ')}`);
    const wanted = asText(given['service']);
    if (wanted === undefined) throw errorAt(place, `services.${name}.extends: the service is missing`);
    const path = asText(given['file']);
    let base: Dict;
    if (path === undefined) {
      if (!isDict(services[wanted]))
        throw errorAt(place, `cannot extend service "${name}" in ${basename(file)}: service "${wanted}" not found`);
      base = this.#extended(document, wanted, file, directory, lookup, [...chain, link]);
    } else {
      const other = this.#localFile(path, place, { directory, home: this.#options.home }, file);
      let documents;
      try {
        documents = this.#documents(other, lookup);
      } catch (error) {
        if (error instanceof EngineError && error.code === 'not-found') throw errorAt(place, errorMessage(error));
        throw error;
      }
      const theirs = asDict(documents[0]!.tree['services']);
      if (!isDict(theirs[wanted]))
        throw errorAt(place, `cannot extend service "${name}" in ${file}: service "${wanted}" not found in ${other}`);
      base = this.#extended(documents[0]!, wanted, other, dirname(other), lookup, [...chain, link]);
      const alone = dict([['services', dict([[wanted, base]])]]);
      const root = this.#rootOf(other);
      if (root !== undefined)
        checkRemotePaths(alone, root, { directory: dirname(other), home: this.#options.home }, this.places);
      resolvePaths(alone, { directory: dirname(other), home: this.#options.home });
    }
    const own = dict(Object.entries(service).filter(([key]) => key !== 'extends'));
    for (const key of Object.keys(own)) {
      const at = this.places.get(service, key);
      if (at) this.places.set(own, key, at);
    }
    const below = dict([['services', dict([[name, clone(base)]])]]);
    for (const path of document.removed) if (path[1] === name && path.length > 2) remove(below, path);
    const merged = merge(asDict(below['services'])[name], own, ['services', name]) as Dict;
    this.#keepPlaces(merged, own);
    return merged;
  }

  /** Merging makes new containers; those that messages point at keep their places. */
  #keepPlaces(merged: Dict, source: Dict, depth = 0): void {
    for (const [key, value] of Object.entries(source)) {
      const place = this.places.get(source, key);
      if (place) this.places.set(merged, key, place);
      const inner = merged[key];
      if (depth < 4 && isDict(value) && isDict(inner)) this.#keepPlaces(inner, value, depth + 1);
    }
  }
}
