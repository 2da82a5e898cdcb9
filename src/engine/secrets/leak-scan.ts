import { open, opendir, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Shorter values would be found by chance. */
export const LEAST_BYTES = 8;
const CHUNK_BYTES = 1 << 20;

/** What of a value is searched for, plain and in base64; empty when it is too short. */
interface Pattern {
  readonly secret: string;
  readonly forms: readonly Buffer[];
}

/**
 * Searches bytes for the values of secrets. Of a value with several lines (a key file) the longest line counts, since logs
 * and templates tear lines apart. `budget` bounds the bytes that are read: what is beyond is not searched.
 */
export class LeakScan {
  readonly #patterns: readonly Pattern[];
  readonly #overlap: number;
  readonly #found = new Map<string, { secret: string; where: string }>();
  #left: number;
  #read = 0;

  constructor(values: Iterable<readonly [name: string, value: Buffer]>, budget: number) {
    this.#patterns = [...values].flatMap(([secret, value]) => {
      const forms = searchForms(value);
      return forms.length === 0 ? [] : [{ secret, forms }];
    });
    this.#overlap = Math.max(0, ...this.#patterns.flatMap(({ forms }) => forms.map((form) => form.length - 1)));
    this.#left = budget;
  }

  get leaks(): readonly { readonly secret: string; readonly where: string }[] {
    return [...this.#found.values()];
  }

  get bytes(): number {
    return this.#read;
  }

  /** Nothing to search for, or nothing left of the budget. */
  get done(): boolean {
    return this.#patterns.length === 0 || this.#left <= 0;
  }

  text(text: string | Uint8Array, where: string): void {
    const bytes = typeof text === 'string' ? Buffer.from(text) : Buffer.from(text.buffer, text.byteOffset, text.length);
    this.#read += bytes.length;
    this.#left -= bytes.length;
    for (const { secret, forms } of this.#patterns) {
      if (forms.some((form) => bytes.includes(form))) this.#found.set(`${secret}\0${where}`, { secret, where });
    }
  }

  /** A regular file, from `from` on, with links not followed. What cannot be read is passed over. */
  async file(path: string, where: string, from = 0): Promise<void> {
    if (this.done) return;
    let handle;
    try {
      handle = await open(path, O_RDONLY_NOFOLLOW_NONBLOCK);
    } catch {
      return;
    }
    try {
      const { size } = await handle.stat();
      const buffer = Buffer.alloc(Math.min(CHUNK_BYTES + this.#overlap, Math.max(size - from, 1) + this.#overlap));
      let kept = 0;
      for (let at = from; !this.done;) {
        const room = Math.min(buffer.length - kept, this.#left);
        const { bytesRead } = await handle.read(buffer, kept, room, at);
        if (bytesRead === 0) return;
        at += bytesRead;
        this.text(buffer.subarray(0, kept + bytesRead), where);
        this.#read -= kept;
        this.#left += kept;
        const next = Math.min(this.#overlap, kept + bytesRead);
        buffer.copyWithin(0, kept + bytesRead - next, kept + bytesRead);
        kept = next;
      }
    } catch {
      // a device, or gone meanwhile
    } finally {
      await handle.close();
    }
  }

  /** Every file below `root`, by its name there. */
  async tree(root: string, where: (path: string) => string, below = ''): Promise<void> {
    if (this.done) return;
    const directory = await opendir(join(root, below)).catch(() => undefined);
    if (!directory) return;
    for await (const entry of directory) {
      if (this.done) return;
      const path = `${below}/${entry.name}`;
      if (entry.isDirectory()) await this.tree(root, where, path);
      else if (entry.isFile()) await this.file(join(root, path), where(path));
      else if (entry.isSymbolicLink()) this.text(await readlink(join(root, path)).catch(() => ''), where(path));
    }
  }
}

const O_RDONLY_NOFOLLOW_NONBLOCK = 0o400000 | 0o4000;

/** Empty when there is too little of it to be told from chance. */
export function searchForms(value: Buffer): Buffer[] {
  let longest = value.subarray(0, 0);
  for (let at = 0; at <= value.length;) {
    const end = value.indexOf(10, at);
    const line = trimEnd(value.subarray(at, end < 0 ? value.length : end));
    if (line.length > longest.length) longest = line;
    if (end < 0) break;
    at = end + 1;
  }
  if (longest.length < LEAST_BYTES) return [];
  // a value that is one line is in base64 the same with or without its end, but for the last digits
  const encoded = Buffer.from(longest.toString('base64').replace(/=+$/, '')).subarray(
    0,
    Math.floor(longest.length / 3) * 4,
  );
  return [Buffer.from(longest), encoded].filter((form) => form.length >= LEAST_BYTES);
}

function trimEnd(line: Buffer): Buffer {
  let end = line.length;
  while (end > 0 && (line[end - 1] === 13 || line[end - 1] === 32)) end--;
  return line.subarray(0, end);
}
