import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { basename, dirname } from 'node:path';
import { isAlias, isMap, isScalar, isSeq, type Node, parseAllDocuments, type Scalar } from 'yaml';
import { EngineError } from '../../base/errors.ts';
import { interpolate, type Lookup } from '../model/interpolate.ts';
import { toAbsolute } from '../model/paths.ts';
import { isRemoteFile } from '../model/remote-file.ts';
import type { ArtifactFile } from './artifact.ts';

/**
 * A project's files as they are published: as they are written, but for the names of files that they extend and of env
 * files, which become those of the artifact. Throws `invalid-argument` for what cannot be published, `not-found`.
 */
export function publishedFiles(
  files: readonly string[],
  options: { readonly directory: string; readonly lookup: Lookup; readonly home: string | undefined },
): ArtifactFile[] {
  const publication = new Publication(options.lookup, options.home);
  for (const file of files) publication.add(file, 'compose', options.directory);
  return publication.files;
}

class Publication {
  readonly files: ArtifactFile[] = [];
  readonly #lookup: Lookup;
  readonly #home: string | undefined;
  readonly #known = new Set<string>();

  constructor(lookup: Lookup, home: string | undefined) {
    this.#lookup = lookup;
    this.#home = home;
  }

  add(file: string, kind: 'compose' | 'extended', directory: string): void {
    const text = read(file).toString('utf8');
    const at = this.files.length;
    const name = kind === 'compose' ? basename(file) : artifactName(file, 'yaml');
    // Its place comes before that of what it extends.
    this.files.push({ kind, name, content: Buffer.alloc(0) });
    this.files[at] = { kind, name, content: Buffer.from(this.#rewritten(text, file, directory)) };
  }

  #rewritten(text: string, file: string, directory: string): string {
    const documents = parseAllDocuments(text, { merge: true, prettyErrors: false });
    if (!Array.isArray(documents)) return text;
    const names = new Map<Scalar, string>();
    for (const document of documents) {
      const look = (node: unknown): Node | undefined =>
        isAlias(node) ? (node.resolve(document as never) as Node | undefined) : (node as Node | undefined);
      const members = (node: unknown): (readonly [string, unknown])[] => {
        const found = look(node);
        return isMap(found)
          ? found.items.flatMap(({ key, value }) => (isScalar(key) ? [[String(key.value), value] as const] : []))
          : [];
      };
      /** Members, and those that `<<` brings. */
      const all = (node: unknown, depth = 0): (readonly [string, unknown])[] =>
        members(node).flatMap(([key, value]) => {
          if (!/^<<$|Symbol\(<<\)/.test(key) || depth > 20) return [[key, value] as const];
          const source = look(value);
          return isSeq(source) ? source.items.flatMap((item) => all(item, depth + 1)) : all(value, depth + 1);
        });
      for (const [key, value] of members(document.contents))
        if (key === 'include') this.#checkIncludes(look(value), look, file);
        else if (key === 'services')
          for (const [, service] of all(value))
            for (const [field, given] of all(service))
              if (field === 'extends')
                for (const [part, path] of members(given)) {
                  const scalar = part === 'file' ? look(path) : undefined;
                  if (isScalar(scalar)) this.#extended(scalar, directory, names);
                }
              else if (field === 'env_file') this.#envFiles(look(given), look, members, directory, names);
    }
    return replaced(text, names);
  }

  #checkIncludes(given: Node | undefined, look: (node: unknown) => Node | undefined, file: string): void {
    for (const item of isSeq(given) ? given.items : []) {
      const node = look(item);
      const path = isMap(node) ? look(node.get('path', true)) : node;
      const paths = isSeq(path) ? path.items.map(look) : [path];
      for (const one of paths)
        if (!isScalar(one) || !isRemoteFile(String(one.value)))
          throw new EngineError(
            'invalid-argument',
            `${file}: cannot publish a compose file that includes local ones; publish those, and include their oci:// addresses`,
          );
    }
  }

  #extended(scalar: Scalar, directory: string, names: Map<Scalar, string>): void {
    const path = this.#path(scalar, directory);
    if (isRemoteFile(path)) return;
    names.set(scalar, artifactName(path, 'yaml'));
    if (this.#known.has(path)) return;
    this.#known.add(path);
    this.add(path, 'extended', dirname(path));
  }

  #envFiles(
    given: Node | undefined,
    look: (node: unknown) => Node | undefined,
    members: (node: unknown) => (readonly [string, unknown])[],
    directory: string,
    names: Map<Scalar, string>,
  ): void {
    for (const item of isSeq(given) ? given.items : [given]) {
      const node = look(item);
      const fields = new Map(members(node));
      const scalar = isScalar(node) ? node : look(fields.get('path'));
      if (!isScalar(scalar)) continue;
      const path = this.#path(scalar, directory);
      const required = look(fields.get('required'));
      if (isScalar(required) && required.value === false && !fs.existsSync(path)) continue;
      names.set(scalar, artifactName(path, 'env'));
      if (this.#known.has(path)) continue;
      this.#known.add(path);
      this.files.push({ kind: 'environment', name: artifactName(path, 'env'), content: read(path) });
    }
  }

  #path(scalar: Scalar, directory: string): string {
    const written = interpolate(String(scalar.value), { lookup: this.#lookup });
    return isRemoteFile(written) ? written : toAbsolute(written, { directory, home: this.#home });
  }
}

/** Two files of one base name stay two. */
function artifactName(path: string, ending: string): string {
  return `${createHash('sha256').update(path).digest('hex')}.${ending}`;
}

function read(file: string): Buffer {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    throw new EngineError('not-found', `cannot publish ${file}: ${(error as Error).message}`, { cause: error });
  }
}

/** The text with other words at the places of some scalars. */
function replaced(text: string, names: ReadonlyMap<Scalar, string>): string {
  let out = '';
  let at = 0;
  const places = [...names].map(([scalar, name]) => ({ range: scalar.range!, name }));
  for (const { range, name } of places.sort((a, b) => a.range[0] - b.range[0])) {
    out += text.slice(at, range[0]) + name;
    at = range[1];
  }
  return out + text.slice(at);
}
