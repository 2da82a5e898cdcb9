import type { Database } from './database.ts';

const WRITE_MS = 2000;

/** When each image was last used: by a container, a build, or a person who named it. Worth no wait for the disk. */
export class ImageUses {
  readonly #db: Database;
  readonly #used = new Map<string, number>();
  readonly #unwritten = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(db: Database) {
    this.#db = db;
    for (const { image, used } of db.all('SELECT image, used FROM image_uses'))
      this.#used.set(image as string, Number(used));
  }

  mark(image: string, at = Date.now()): void {
    this.#used.set(image, at);
    this.#unwritten.add(image);
    this.#timer ??= setTimeout(() => this.close(), WRITE_MS).unref();
  }

  /** Milliseconds since the epoch; undefined when it never was. */
  lastUsed(image: string): number | undefined {
    return this.#used.get(image);
  }

  /** Forgets those that are no images any more. */
  keepOnly(images: ReadonlySet<string>): void {
    const gone = [...this.#used.keys()].filter((image) => !images.has(image));
    if (gone.length === 0) return;
    this.#db.relaxedTransaction(() => {
      for (const image of gone) this.#db.run('DELETE FROM image_uses WHERE image = ?', image);
    });
    for (const image of gone) this.#used.delete(image);
  }

  /** Writes down what is not yet. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const images = [...this.#unwritten];
    this.#unwritten.clear();
    try {
      this.#db.optionalTransaction(() => {
        for (const image of images)
          this.#db.run(
            'INSERT INTO image_uses (image, used) VALUES (?, ?) ON CONFLICT (image) DO UPDATE SET used = excluded.used',
            image,
            this.#used.get(image) ?? 0,
          );
      });
    } catch {
      // a full disk: an image counts as used earlier than it was
    }
  }
}
