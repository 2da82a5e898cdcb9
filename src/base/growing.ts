/**
 * A list that is never changed: `with` gives a longer one, which shares what they have in common. To append to the newest
 * costs the same however long it is.
 */
export class GrowingList<T> implements Iterable<T> {
  readonly #items: T[];
  readonly length: number;

  private constructor(items: T[], length: number) {
    this.#items = items;
    this.length = length;
  }

  static of<T>(items: readonly T[]): GrowingList<T> {
    return new GrowingList([...items], items.length);
  }

  with(item: T): GrowingList<T> {
    // Another one was made longer before.
    const items = this.#items.length === this.length ? this.#items : this.#items.slice(0, this.length);
    items.push(item);
    return new GrowingList(items, items.length);
  }

  *[Symbol.iterator](): Generator<T, void, void> {
    for (let index = 0; index < this.length; index++) yield this.#items[index]!;
  }
}

/**
 * Values by their names, in the order in which the names came; never changed: `with` gives another map. The newest has the
 * values, so that to read or change it costs the same however many there are; an older one that is asked again makes a copy
 * for itself.
 */
export class GrowingMap<V> implements Iterable<[string, V]> {
  #held: Map<string, V> | undefined;
  #later: Later<V> | undefined;

  private constructor(held: Map<string, V>) {
    this.#held = held;
  }

  static of<V>(entries: Iterable<readonly [string, V]>): GrowingMap<V> {
    return new GrowingMap(new Map(entries));
  }

  get(name: string): V | undefined {
    return this.#values().get(name);
  }

  has(name: string): boolean {
    return this.#values().has(name);
  }

  get size(): number {
    return this.#values().size;
  }

  /** A name that is there keeps its place. */
  with(name: string, value: V & ({} | null)): GrowingMap<V> {
    const values = this.#values();
    const next = new GrowingMap(values);
    this.#later = { map: next, name, before: values.get(name) };
    this.#held = undefined;
    values.set(name, value);
    return next;
  }

  /** This one, when the name is not there. */
  without(name: string): GrowingMap<V> {
    if (!this.has(name)) return this;
    const left = new Map(this.#values());
    left.delete(name);
    return new GrowingMap(left);
  }

  [Symbol.iterator](): IterableIterator<[string, V]> {
    return this.#values().entries();
  }

  #values(): Map<string, V> {
    if (this.#held) return this.#held;
    const undone: Later<V>[] = [];
    for (let later = this.#later; later; later = later.map.#later) undone.push(later);
    const values = new Map(undone.at(-1)!.map.#held!);
    for (const { name, before } of undone.toReversed()) {
      if (before === undefined) values.delete(name);
      else values.set(name, before);
    }
    this.#later = undefined;
    return (this.#held = values);
  }
}

/** Where the values of a map went, and what is different there. */
interface Later<V> {
  readonly map: GrowingMap<V>;
  readonly name: string;
  readonly before: V | undefined;
}
