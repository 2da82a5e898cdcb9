import fs from 'node:fs';
import { join } from 'node:path';
import type { Platform } from '../oci/descriptor.ts';
import { canonicalName, type Reference } from '../oci/reference.ts';
import type { Cli } from './cli.ts';
import { CommandError } from './command.ts';

/** A manifest that will be part of a list, in the form of docker's own store: both programs can go on with each other's lists. */
export interface ListedManifest {
  readonly Ref: string;
  readonly Descriptor: {
    readonly mediaType: string;
    readonly digest: string;
    readonly size: number;
    readonly platform?: Platform;
  };
  /** Base64. */
  readonly Raw: string;
  readonly SchemaV2Manifest?: unknown;
  readonly OCIManifest?: unknown;
}

/** Manifest lists that are being made: `<config>/manifests/<list>/<manifest>`, a file each. */
export class ManifestStore {
  readonly #directory: string;

  constructor(cli: Cli) {
    this.#directory = join(cli.configDirectory, 'manifests');
  }

  /** Undefined when there is no such list. */
  list(list: Reference): ListedManifest[] | undefined {
    const directory = this.#path(list);
    let names: string[];
    try {
      names = fs.readdirSync(directory).sort();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    return names.map((name) => read(join(directory, name)));
  }

  get(list: Reference, manifest: Reference): ListedManifest | undefined {
    const file = join(this.#path(list), fileName(manifest));
    return fs.existsSync(file) ? read(file) : undefined;
  }

  put(list: Reference, manifest: Reference, document: ListedManifest): void {
    const file = join(this.#path(list), fileName(manifest));
    fs.mkdirSync(this.#path(list), { recursive: true, mode: 0o755 });
    const aside = `${file}.${process.pid}.tmp`;
    fs.writeFileSync(aside, JSON.stringify(document));
    fs.renameSync(aside, file);
  }

  remove(list: Reference): void {
    fs.rmSync(this.#path(list), { recursive: true, force: true });
  }

  #path(list: Reference): string {
    return join(this.#directory, fileName(list));
  }
}

/** References hold no path: `/` and `:` are replaced, and dots cannot stand alone in them. */
function fileName(reference: Reference): string {
  return canonicalName(reference).replaceAll(':', '-').replaceAll('/', '_');
}

function read(file: string): ListedManifest {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8')) as ListedManifest;
  } catch (error) {
    throw new CommandError(`cannot read ${file}: ${(error as Error).message}`, 1, { cause: error });
  }
}
