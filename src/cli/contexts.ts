import fs from 'node:fs';
import { join } from 'node:path';
import type { TlsMaterial } from '../client/endpoint.ts';
import { CommandError } from './command.ts';
import { compareText } from './output/order.ts';

export const DEFAULT_CONTEXT = 'default';

/** `contexts/meta/<sha256 of the name>/meta.json`, as docker keeps it. */
export interface ContextDocument {
  Name: string;
  Metadata: { Description?: string };
  Endpoints: { docker?: { Host?: string; SkipTLSVerify?: boolean } };
}

const TLS_FILES = ['ca.pem', 'cert.pem', 'key.pem'] as const;
type TlsFile = (typeof TLS_FILES)[number];

/** The named engines in the configuration folder, shared with docker. */
export class ContextStore {
  readonly #directory: string;

  constructor(configDirectory: string) {
    this.#directory = join(configDirectory, 'contexts');
  }

  metadataPath(name: string): string {
    return join(this.#directory, 'meta', digest(name));
  }

  tlsPath(name: string): string {
    return join(this.#directory, 'tls', digest(name));
  }

  list(): ContextDocument[] {
    let names: string[];
    try {
      names = fs.readdirSync(join(this.#directory, 'meta'));
    } catch {
      return [];
    }
    return names
      .flatMap((name) => this.#read(join(this.#directory, 'meta', name, 'meta.json')) ?? [])
      .sort((a, b) => compareText(a.Name, b.Name));
  }

  find(name: string): ContextDocument | undefined {
    return this.#read(join(this.metadataPath(name), 'meta.json'));
  }

  /** Throws when there is none of that name. */
  get(name: string): ContextDocument {
    const found = this.find(name);
    if (!found)
      throw new CommandError(
        `context "${name}": context not found: open ${join(this.metadataPath(name), 'meta.json')}: no such file or directory`,
      );
    return found;
  }

  write(document: ContextDocument, tls: Partial<Record<TlsFile, string>> = {}): void {
    checkName(document.Name);
    const folder = this.metadataPath(document.Name);
    fs.mkdirSync(folder, { recursive: true, mode: 0o755 });
    const aside = join(folder, `meta.json.${process.pid}.tmp`);
    fs.writeFileSync(aside, JSON.stringify(document));
    fs.renameSync(aside, join(folder, 'meta.json'));
    for (const file of TLS_FILES) {
      if (tls[file] === undefined) continue;
      const endpoint = join(this.tlsPath(document.Name), 'docker');
      fs.mkdirSync(endpoint, { recursive: true, mode: 0o700 });
      fs.writeFileSync(join(endpoint, file), tls[file], { mode: 0o600 });
    }
  }

  remove(name: string): void {
    this.get(name);
    fs.rmSync(this.metadataPath(name), { recursive: true, force: true });
    fs.rmSync(this.tlsPath(name), { recursive: true, force: true });
  }

  tlsFiles(name: string): TlsFile[] {
    return TLS_FILES.filter((file) => fs.existsSync(join(this.tlsPath(name), 'docker', file)));
  }

  /** The certificates of a context; undefined when it has none and does not ask for TLS. */
  tls(document: ContextDocument): TlsMaterial | undefined {
    const files = this.tlsFiles(document.Name);
    const skip = document.Endpoints.docker?.SkipTLSVerify === true;
    if (files.length === 0 && !skip) return undefined;
    const read = (file: TlsFile): string | undefined =>
      files.includes(file) ? fs.readFileSync(join(this.tlsPath(document.Name), 'docker', file), 'utf8') : undefined;
    return { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem'), verify: !skip };
  }

  #read(path: string): ContextDocument | undefined {
    try {
      const value = JSON.parse(fs.readFileSync(path, 'utf8')) as Partial<ContextDocument>;
      return typeof value.Name === 'string'
        ? { Name: value.Name, Metadata: value.Metadata ?? {}, Endpoints: value.Endpoints ?? {} }
        : undefined;
    } catch {
      return undefined;
    }
  }
}

export function checkName(name: string): void {
  if (name === DEFAULT_CONTEXT) throw new CommandError('"default" is a reserved context name');
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$/.test(name)) {
    throw new CommandError(
      `context name "${name}" is invalid, names are validated against regexp "^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$"`,
    );
  }
}

function digest(name: string): string {
  // Loaded when a context is used: no other command pays for it.
  return process.getBuiltinModule('node:crypto').createHash('sha256').update(name).digest('hex');
}
