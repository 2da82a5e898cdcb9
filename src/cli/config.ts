import fs from 'node:fs';
import { join } from 'node:path';
import type { AuthConfig } from '../api/auth.ts';
import { CommandError } from './command.ts';

/** What we read of `config.json`; everything else in it is kept as it is. */
export interface ConfigDocument {
  auths?: Record<string, AuthConfig>;
  credsStore?: string;
  credHelpers?: Record<string, string>;
  currentContext?: string;
  detachKeys?: string;
  HttpHeaders?: Record<string, string>;
  psFormat?: string;
  imagesFormat?: string;
  networksFormat?: string;
  volumesFormat?: string;
  secretFormat?: string;
  statsFormat?: string;
  proxies?: Record<
    string,
    { httpProxy?: string; httpsProxy?: string; noProxy?: string; ftpProxy?: string; allProxy?: string }
  >;
  [key: string]: unknown;
}

/** `~/.docker/config.json`, shared with docker. */
export class ConfigFile {
  readonly directory: string;
  readonly document: ConfigDocument;

  private constructor(directory: string, document: ConfigDocument) {
    this.directory = directory;
    this.document = document;
  }

  /** A missing file is an empty one. Throws a CommandError when it is not JSON. */
  static read(directory: string): ConfigFile {
    const path = join(directory, 'config.json');
    let text: string;
    try {
      text = fs.readFileSync(path, 'utf8');
    } catch {
      return new ConfigFile(directory, {});
    }
    try {
      const value: unknown = JSON.parse(text);
      if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('not an object');
      return new ConfigFile(directory, value as ConfigDocument);
    } catch (error) {
      throw new CommandError(`${path} cannot be read: ${(error as Error).message}. Mend or remove it.`);
    }
  }

  /** Written aside and renamed, for its owner's eyes only. */
  write(changes: Partial<ConfigDocument>): void {
    Object.assign(this.document, changes);
    fs.mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    const path = join(this.directory, 'config.json');
    const aside = `${path}.${process.pid}.tmp`;
    fs.writeFileSync(aside, `${JSON.stringify(this.document, null, '\t')}\n`, { mode: 0o600 });
    let target = path;
    try {
      target = fs.realpathSync(path); // a link to a dotfiles repository stays a link
    } catch {
      // not there yet
    }
    fs.renameSync(aside, target);
  }
}
