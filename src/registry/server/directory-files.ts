import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rename, rm, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { LinkFiles } from './link-files.ts';

/** Files below a directory that is this process's alone. */
export class DirectoryFiles implements LinkFiles {
  readonly shared = false;
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async list(path: string): Promise<string[]> {
    // What begins with a dot is being written.
    const names = await unlessMissing(readdir(join(this.#root, path)));
    return (names ?? []).filter((name) => !name.startsWith('.'));
  }

  async entries(path: string): Promise<{ name: string; modifiedAt: Date }[]> {
    const entries: { name: string; modifiedAt: Date }[] = [];
    for (const name of await this.list(path)) {
      const modifiedAt = await this.modifiedAt(join(path, name));
      if (modifiedAt) entries.push({ name, modifiedAt });
    }
    return entries;
  }

  read(path: string): Promise<string | undefined> {
    return unlessMissing(readFile(join(this.#root, path), 'utf8'));
  }

  async modifiedAt(path: string): Promise<Date | undefined> {
    return (await unlessMissing(stat(join(this.#root, path))))?.mtime;
  }

  async write(path: string, text: string, { once = false }: { once?: boolean } = {}): Promise<boolean> {
    const target = join(this.#root, path);
    await mkdir(dirname(target), { recursive: true });
    const aside = join(dirname(target), `.${randomUUID()}`);
    try {
      await writeFile(aside, text, { flush: true });
      if (once) await link(aside, target);
      else await rename(aside, target);
    } catch (error) {
      if (once && (error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    } finally {
      await rm(aside, { force: true });
    }
    await using directory = await open(dirname(target), 'r');
    await directory.sync();
    return true;
  }

  async touch(path: string): Promise<void> {
    const now = new Date();
    const done = await unlessMissing(utimes(join(this.#root, path), now, now).then(() => true));
    if (!done) await this.write(path, '');
  }

  async remove(path: string): Promise<boolean> {
    return (await unlessMissing(unlink(join(this.#root, path)).then(() => true))) ?? false;
  }
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
