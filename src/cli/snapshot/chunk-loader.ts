import fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { compileFunction, Script } from 'node:vm';

/** A file of the bundle as a function of what Node gives to such a file. */
type Body = (
  exports: unknown,
  require: (name: string) => unknown,
  module: { exports: unknown },
  filename: string,
  directory: string,
) => void;
/** Null: it is in the script that is for what is seldom needed. */
type Bodies = Readonly<Record<string, Body | null>>;

const PARAMETERS = ['exports', 'require', 'module', '__filename', '__dirname'];

/**
 * Loads files of the bundle in a process that was made from a snapshot, or is to be one, where Node's own loader of
 * modules is not there yet. Files that are in none of the given bodies come through Node's loader when the process
 * runs; it then finds the others loaded.
 */
export class ChunkLoader {
  readonly #directory: string;
  readonly #bodies: Bodies;
  readonly #readSeldom: () => Bodies;
  #seldom: Bodies | undefined;
  readonly #loaded = new Map<string, { exports: unknown }>();
  readonly #other: 'node' | 'read';
  #outside: NodeJS.Require | undefined;

  /**
   * What `bodies` has as null is in those that `seldom` gives. What it has not at all comes through Node's loader, or,
   * where that is not to be had, is `read` and compiled.
   */
  constructor(directory: string, bodies: Bodies, seldom: () => Bodies, other: 'node' | 'read') {
    this.#directory = directory;
    this.#bodies = bodies;
    this.#readSeldom = seldom;
    this.#other = other;
  }

  /** Names of the files that were loaded. */
  get names(): string[] {
    return [...this.#loaded.keys()];
  }

  load(name: string): unknown {
    const loaded = this.#loaded.get(name);
    if (loaded) return loaded.exports;
    const file = join(this.#directory, name);
    const known = this.#bodies[name];
    const body =
      (known === null ? (this.#seldom ??= this.#readSeldom())[name] : known) ??
      (this.#other === 'read' ? read(file) : undefined);
    if (!body) return this.#outsideLoader()(file);
    const module = { exports: {} as unknown };
    this.#loaded.set(name, module);
    body.call(module.exports, module.exports, (wanted) => this.#require(wanted), module, file, this.#directory);
    return module.exports;
  }

  #require(wanted: string): unknown {
    if (wanted.startsWith('.')) return this.load(basename(wanted));
    return process.getBuiltinModule(wanted) ?? this.#outsideLoader()(wanted);
  }

  #outsideLoader(): NodeJS.Require {
    if (this.#outside) return this.#outside;
    const { createRequire, enableCompileCache } = process.getBuiltinModule('node:module');
    enableCompileCache(join(dirname(this.#directory), 'cache'));
    const outside = createRequire(join(this.#directory, 'main.cjs'));
    for (const [name, { exports }] of this.#loaded) {
      const filename = join(this.#directory, name);
      outside.cache[filename] = { id: filename, filename, loaded: true, exports, children: [], paths: [] } as never;
    }
    return (this.#outside = outside);
  }
}

function read(file: string): Body {
  return compileFunction(fs.readFileSync(file, 'utf8'), PARAMETERS, { filename: file }) as unknown as Body;
}

/**
 * Files of the bundle as one script, which gives their bodies, and null for those that are `elsewhere`. In ASCII: one
 * character beyond Latin-1 would make each of the others take two bytes, and all of them are read at each start.
 */
export function joinChunks(directory: string, names: readonly string[], elsewhere: readonly string[] = []): string {
  const parts = names.map((name) => {
    const source = fs.readFileSync(join(directory, name), 'utf8').replace(/\n\/\/# sourceMappingURL=.*\s*$/, '');
    return `${JSON.stringify(name)}(${PARAMETERS.join(', ')}) {${source}\n}`;
  });
  for (const name of elsewhere) parts.push(`${JSON.stringify(name)}: null`);
  const escaped = (text: string): string => `\\u${text.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return `({${parts.join(',\n')}})`.replace(/[\u0080-\uffff]/g, escaped);
}

export interface Joined {
  readonly script: Script;
  readonly bodies: Bodies;
}

/** The script of `joinChunks` in a file, with what the compiler left beside it. */
export function loadJoined(file: string): Joined {
  const cache = `${file}.cache`;
  const script = new Script(fs.readFileSync(file, 'latin1'), {
    filename: file,
    ...(fs.existsSync(cache) ? { cachedData: fs.readFileSync(cache) } : {}),
  });
  return { script, bodies: script.runInThisContext() as Bodies };
}
