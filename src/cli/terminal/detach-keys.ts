const CONTROL = '@abcdefghijklmnopqrstuvwxyz[\\]^_';

/** `ctrl-p,ctrl-q` → the bytes. Throws an Error. */
export function parseDetachKeys(text: string): Buffer {
  const bytes = text.split(',').map((key) => {
    if (key.length === 1) return key.charCodeAt(0);
    const control = /^ctrl-(.)$/s.exec(key);
    const code = control ? CONTROL.indexOf(control[1]!) : -1;
    if (code < 0) throw new Error(`Unknown character: '${key}'`);
    return code;
  });
  return Buffer.from(bytes);
}

/** Watches what is typed for the keys that detach, and holds back a beginning of them until it is clear that it is none. */
export class DetachWatcher {
  readonly #keys: Buffer;
  #matched = 0;

  constructor(keys: Buffer) {
    this.#keys = keys;
  }

  /** What may be sent of `data`, and whether the keys were complete: then nothing after them is sent. */
  pass(data: Buffer): { data: Buffer; detached: boolean } {
    const out: number[] = [];
    for (const byte of data) {
      if (byte === this.#keys[this.#matched]) {
        this.#matched++;
        if (this.#matched === this.#keys.length) return { data: Buffer.from(out), detached: true };
        continue;
      }
      out.push(...this.#keys.subarray(0, this.#matched));
      this.#matched = 0;
      if (byte === this.#keys[0]) this.#matched = 1;
      else out.push(byte);
    }
    return { data: Buffer.from(out), detached: false };
  }
}
