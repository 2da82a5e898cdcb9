import type { LinkFiles } from '../server/link-files.ts';
import type { S3Client } from './s3-client.ts';

/** Small files as objects: several servers may share them, for each is written whole, and read as it was written last. */
export class S3Files implements LinkFiles {
  readonly shared = true;
  readonly #client: S3Client;
  readonly #root: string;

  constructor(client: S3Client, root: string) {
    this.#client = client;
    this.#root = root;
  }

  async list(path: string): Promise<string[]> {
    const prefix = this.#prefix(path);
    const names: string[] = [];
    for await (const found of this.#client.list(prefix, { delimiter: '/' })) {
      names.push('prefix' in found ? found.prefix.slice(prefix.length, -1) : found.key.slice(prefix.length));
    }
    return names;
  }

  async entries(path: string): Promise<{ name: string; modifiedAt: Date }[]> {
    const prefix = this.#prefix(path);
    const entries: { name: string; modifiedAt: Date }[] = [];
    for await (const found of this.#client.list(prefix, { delimiter: '/' })) {
      if ('key' in found) entries.push({ name: found.key.slice(prefix.length), modifiedAt: found.modifiedAt });
    }
    return entries;
  }

  read(path: string): Promise<string | undefined> {
    return this.#client.text(`${this.#root}/${path}`);
  }

  async modifiedAt(path: string): Promise<Date | undefined> {
    return (await this.#client.head(`${this.#root}/${path}`))?.modifiedAt;
  }

  write(path: string, text: string, options: { once?: boolean } = {}): Promise<boolean> {
    return this.#client.put(`${this.#root}/${path}`, Buffer.from(text), options);
  }

  async touch(path: string): Promise<void> {
    await this.write(path, '');
  }

  async remove(path: string): Promise<boolean> {
    const key = `${this.#root}/${path}`;
    if (!(await this.#client.head(key))) return false;
    await this.#client.delete(key);
    return true;
  }

  #prefix(path: string): string {
    return path === '' ? `${this.#root}/` : `${this.#root}/${path}/`;
  }
}
